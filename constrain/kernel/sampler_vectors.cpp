#include "sampler_vectors.h"

#include <bit>
#include <cstring>
#include <limits>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#define CONSTRAIN_INLINE static inline __attribute__((always_inline))

namespace constrain {
namespace {

using Floats __attribute__((vector_size(64))) = float;
using Ints __attribute__((vector_size(64))) = std::int32_t;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLowestExponent = -87.0F;  // e^-87 = 1.6e-38 is still a normal float32
constexpr Ints kLaneBit = {1 << 0, 1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
                           1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};

// Vectors go by reference: by value, their calling convention depends on the instruction set.
CONSTRAIN_INLINE void load(Floats& out, const float* from) { std::memcpy(&out, from, sizeof out); }
CONSTRAIN_INLINE void store(float* to, const Floats& value) {
    std::memcpy(to, &value, sizeof value);
}

// Not 0 in lane l where token 16 * half + l is allowed. Comparisons stand directly in the
// conditions below: GCC 12 turns a stored vector of AVX-512 comparison results into scalar code.
CONSTRAIN_INLINE void allowed_lanes(Ints& out, const std::uint32_t* words, std::size_t half) {
    const std::int32_t bits =
        static_cast<std::int32_t>((words[half / 2] >> (16 * (half % 2))) & 0xFFFFU);
    out = kLaneBit & bits;
}

CONSTRAIN_INLINE void raise_to(Floats& top, const Floats& value) {
    top = value > top ? value : top;
}

// Folds lanes 8 apart, then 4, 2, 1: the same order on every processor.
#define CONSTRAIN_FOLD(value, combine)                                                            \
    do {                                                                                          \
        Floats other = __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1,  \
                                               2, 3, 4, 5, 6, 7);                                 \
        combine(value, other);                                                                    \
        other = __builtin_shufflevector(value, value, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8,  \
                                        9, 10, 11);                                               \
        combine(value, other);                                                                    \
        other = __builtin_shufflevector(value, value, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14,   \
                                        15, 12, 13);                                              \
        combine(value, other);                                                                    \
        other = __builtin_shufflevector(value, value, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13,   \
                                        12, 15, 14);                                              \
        combine(value, other);                                                                    \
    } while (false)

CONSTRAIN_INLINE void add_to(Floats& sum, const Floats& value) { sum += value; }

CONSTRAIN_INLINE float sum_of(const Floats& value) {
    Floats sum = value;
    CONSTRAIN_FOLD(sum, add_to);
    return sum[0];
}

CONSTRAIN_INLINE float top_of(const Floats& value) {
    Floats top = value;
    CONSTRAIN_FOLD(top, raise_to);
    return top[0];
}

// x = e^x for x <= 0; 0 below kLowestExponent and for -inf.
CONSTRAIN_INLINE void exponentiate(Floats& x) {
    const Floats lowest = Floats{} + kLowestExponent;
    const Floats clipped = x >= kLowestExponent ? x : lowest;
    constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
    const Floats rounded = clipped * 1.44269504F + kRounder;
    const Ints exponent = reinterpret_cast<Ints>(rounded) - std::bit_cast<std::int32_t>(kRounder);
    const Floats n = rounded - kRounder;
    // ln 2 in two parts: the first has few bits, so that n times it is exact.
    const Floats r = (clipped - n * 0.693359375F) + n * 2.12194440e-4F;
    Floats p = r * 0.008290264F + 0.04189816F;
    p = p * r + 0.16667639F;
    p = p * r + 0.49999148F;
    p = p * r + 0.9999997F;
    p = p * r + 1.0F;
    const Floats scaled = p * reinterpret_cast<Floats>((exponent + 127) << 23);
    x = x >= kLowestExponent ? scaled : Floats{};
}

CONSTRAIN_INLINE ChunkMaxima maxima_of(const float* logits, const std::uint32_t* words,
                                       float* lane_max) {
    const Floats lowest = Floats{} - kInfinity;
    Floats all = lowest;
    Floats allowed = lowest;
    const Ints ones = Ints{} + 1;
    Ints nan = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        Ints keep;
        load(x, logits + row * kLanes);
        allowed_lanes(keep, words, row);
        nan = x == x ? nan : ones;
        raise_to(all, x);
        raise_to(allowed, keep != 0 ? x : lowest);
    }
    store(lane_max, allowed);
    std::int32_t any = 0;
    for (std::size_t i = 0; i < kLanes; ++i) {
        any |= nan[i];
    }
    return {top_of(all), top_of(allowed), any != 0};
}

CONSTRAIN_INLINE ChunkMass masses_of(const float* logits, const std::uint32_t* words, float max) {
    const Floats zero = {};
    Floats allowed = {};
    Floats forbidden = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        Ints keep;
        load(x, logits + row * kLanes);
        allowed_lanes(keep, words, row);
        x -= max;
        exponentiate(x);
        allowed += keep != 0 ? x : zero;
        forbidden += keep != 0 ? zero : x;
    }
    return {sum_of(allowed), sum_of(forbidden)};
}

CONSTRAIN_INLINE void mask_into(const float* logits, const std::uint32_t* words, float* out) {
    const Floats lowest = Floats{} - kInfinity;
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        Ints keep;
        load(x, logits + row * kLanes);
        allowed_lanes(keep, words, row);
        x = keep != 0 ? x : lowest;
        store(out + row * kLanes, x);
    }
}

template <bool with_levels>
CONSTRAIN_INLINE ChunkWeights weights_of(const float* values, float max, float scale, float* out) {
    const Floats zero = {};
    Floats mass = {};
    Floats top = {};
    Floats above[kLevels] = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, values + row * kLanes);
        x = (x - max) * scale;
        exponentiate(x);
        store(out + row * kLanes, x);
        mass += x;
        raise_to(top, x);
        for (std::size_t level = 0; with_levels && level < kLevels; ++level) {
            above[level] += x >= kLevel[level] ? x : zero;
        }
    }
    ChunkWeights weights{sum_of(mass), top_of(top), {}};
    for (std::size_t level = 0; with_levels && level < kLevels; ++level) {
        weights.above[level] = sum_of(above[level]);
    }
    return weights;
}

CONSTRAIN_INLINE float kept_of(const float* values, const float* weights, float least) {
    const Floats zero = {};
    Floats mass = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats value;
        Floats weight;
        load(value, values + row * kLanes);
        load(weight, weights + row * kLanes);
        mass += value >= least ? weight : zero;
    }
    return sum_of(mass);
}

// Bit l: low <= weight[l] < high.
CONSTRAIN_INLINE std::uint32_t in_band(const float* weights, float low, float high) {
    std::uint32_t bits = 0;
#if defined(__x86_64__)
    const __m128 lows = _mm_set1_ps(low);
    const __m128 highs = _mm_set1_ps(high);
    for (int i = 0; i < static_cast<int>(kLanes); i += 4) {
        const __m128 x = _mm_loadu_ps(weights + i);
        const __m128 inside = _mm_and_ps(_mm_cmpge_ps(x, lows), _mm_cmplt_ps(x, highs));
        bits |= static_cast<std::uint32_t>(_mm_movemask_ps(inside)) << i;
    }
#else
    for (std::size_t i = 0; i < kLanes; ++i) {
        bits |= static_cast<std::uint32_t>((weights[i] >= low) & (weights[i] < high)) << i;
    }
#endif
    return bits;
}

CONSTRAIN_INLINE float band_of(const float* weights, float low, float high, std::int32_t* out,
                               std::size_t* n) {
    const Floats zero = {};
    Floats mass = {};
    std::size_t found = 0;
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        const std::size_t base = row * kLanes;
        Floats x;
        load(x, weights + base);
        mass += x >= high ? x : zero;
        for (std::uint32_t bits = in_band(weights + base, low, high); bits != 0; bits &= bits - 1) {
            out[found++] = static_cast<std::int32_t>(base) + std::countr_zero(bits);
        }
    }
    *n = found;
    return sum_of(mass);
}

// One struct of functions per instruction set; the bodies above are inlined into each.
#define CONSTRAIN_VARIANT(name, attribute)                                                        \
    struct name {                                                                                 \
        attribute static ChunkMaxima maxima(const float* x, const std::uint32_t* w, float* m) {   \
            return maxima_of(x, w, m);                                                            \
        }                                                                                         \
        attribute static ChunkMass masses(const float* x, const std::uint32_t* w, float max) {    \
            return masses_of(x, w, max);                                                          \
        }                                                                                         \
        attribute static void mask(const float* x, const std::uint32_t* w, float* out) {          \
            mask_into(x, w, out);                                                                 \
        }                                                                                         \
        attribute static ChunkWeights weigh(const float* v, float max, float s, float* out) {     \
            return weights_of<false>(v, max, s, out);                                             \
        }                                                                                         \
        attribute static ChunkWeights levels(const float* v, float max, float s, float* out) {    \
            return weights_of<true>(v, max, s, out);                                              \
        }                                                                                         \
        attribute static float kept(const float* v, const float* w, float least) {                \
            return kept_of(v, w, least);                                                          \
        }                                                                                         \
        attribute static float band(const float* w, float low, float high, std::int32_t* out,     \
                                    std::size_t* n) {                                             \
            return band_of(w, low, high, out, n);                                                 \
        }                                                                                         \
        static constexpr VectorLoops loops{maxima, masses, mask, weigh, levels, kept, band};      \
    };

CONSTRAIN_VARIANT(Baseline, )
#if defined(__x86_64__)
CONSTRAIN_VARIANT(Avx2, __attribute__((target("avx2,fma"))))
CONSTRAIN_VARIANT(Avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))))
#endif

const VectorLoops& choose() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        return Avx512::loops;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return Avx2::loops;
    }
#endif
    return Baseline::loops;
}

}  // namespace

const VectorLoops& vector_loops() {
    static const VectorLoops& chosen = choose();
    return chosen;
}

}  // namespace constrain
