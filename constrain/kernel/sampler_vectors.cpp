#include "sampler_vectors.h"

#include <atomic>
#include <bit>
#include <cstring>
#include <limits>
#include <stdexcept>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define CONSTRAIN_INLINE static inline __attribute__((always_inline))

namespace constrain {

namespace {

// Does the compiler contract a * b + c where the processor can? Not on builds for sanitizers,
// which are hardly optimized.
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
constexpr bool kContracts = true;
#else
constexpr bool kContracts = false;
#endif

}  // namespace
namespace {

using Floats __attribute__((vector_size(64))) = float;
using Ints __attribute__((vector_size(64))) = std::int32_t;
using Bits __attribute__((vector_size(64))) = std::uint32_t;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

// Four things that generic vectors cannot say well: GCC 12 turns comparisons and choices of
// vectors wider than the processor's into scalar code (0.9 ms a step for AVX2). ge_bits(x, y):
// bit l is x[l] >= y[l]. pick(out, bits, a, b): out[l] = bit l ? a[l] : b[l]. add(sum, bits, a):
// sum[l] += a[l] where bit l. raise_to(top, value): top[l] = the greater one. Bits from 16 on are
// ignored. Each takes the parts of a vector one after the other.

namespace baseline {
namespace {
constexpr bool kFused = false;
#if defined(__x86_64__)
constexpr std::size_t kPart = 4;
CONSTRAIN_INLINE __m128 part(const Floats& x, std::size_t i) {
    return _mm_loadu_ps(reinterpret_cast<const float*>(&x) + i);
}
CONSTRAIN_INLINE void put(Floats& x, std::size_t i, __m128 value) {
    _mm_storeu_ps(reinterpret_cast<float*>(&x) + i, value);
}
// All ones in the lanes whose bit is set.
CONSTRAIN_INLINE __m128 lanes(std::uint32_t bits, std::size_t i) {
    const __m128i each = _mm_setr_epi32(1, 2, 4, 8);
    const __m128i set = _mm_and_si128(_mm_set1_epi32(static_cast<int>(bits >> i)), each);
    return _mm_castsi128_ps(_mm_cmpeq_epi32(set, each));
}
CONSTRAIN_INLINE std::uint32_t ge_bits(const Floats& x, const Floats& y) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < kLanes; i += kPart) {
        const __m128 greater = _mm_cmpge_ps(part(x, i), part(y, i));
        bits |= static_cast<std::uint32_t>(_mm_movemask_ps(greater)) << i;
    }
    return bits;
}
CONSTRAIN_INLINE void pick(Floats& out, std::uint32_t bits, const Floats& a, const Floats& b) {
    for (std::size_t i = 0; i < kLanes; i += kPart) {
        const __m128 mask = lanes(bits, i);
        put(out, i, _mm_or_ps(_mm_and_ps(mask, part(a, i)), _mm_andnot_ps(mask, part(b, i))));
    }
}
CONSTRAIN_INLINE void add(Floats& sum, std::uint32_t bits, const Floats& a) {
    for (std::size_t i = 0; i < kLanes; i += kPart) {
        put(sum, i, _mm_add_ps(part(sum, i), _mm_and_ps(lanes(bits, i), part(a, i))));
    }
}
CONSTRAIN_INLINE void raise_to(Floats& top, const Floats& value) {
    for (std::size_t i = 0; i < kLanes; i += kPart) {
        put(top, i, _mm_max_ps(part(value, i), part(top, i)));
    }
}
#else
CONSTRAIN_INLINE std::uint32_t ge_bits(const Floats& x, const Floats& y) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < kLanes; ++i) {
        bits |= static_cast<std::uint32_t>(x[i] >= y[i]) << i;
    }
    return bits;
}
CONSTRAIN_INLINE Ints lanes(std::uint32_t bits) {
    constexpr Ints kEach = {1 << 0, 1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
                            1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};
    return (kEach & static_cast<std::int32_t>(bits)) != 0;
}
CONSTRAIN_INLINE void pick(Floats& out, std::uint32_t bits, const Floats& a, const Floats& b) {
    out = lanes(bits) ? a : b;
}
CONSTRAIN_INLINE void add(Floats& sum, std::uint32_t bits, const Floats& a) {
    sum += lanes(bits) ? a : Floats{};
}
CONSTRAIN_INLINE void raise_to(Floats& top, const Floats& value) {
    top = value > top ? value : top;
}
#endif
#include "sampler_loops.h"
}  // namespace
}  // namespace baseline

#if defined(__x86_64__)
#if defined(__clang__)
#define CONSTRAIN_TARGET_BEGIN(list)                                                              \
    _Pragma(CONSTRAIN_TEXT(clang attribute push(__attribute__((target(list))), apply_to = function)))
#define CONSTRAIN_TEXT(...) #__VA_ARGS__
#define CONSTRAIN_TARGET_END _Pragma("clang attribute pop")
#else
#define CONSTRAIN_TEXT(...) #__VA_ARGS__
#define CONSTRAIN_TARGET_BEGIN(list)                                                              \
    _Pragma("GCC push_options") _Pragma(CONSTRAIN_TEXT(GCC target(list)))
#define CONSTRAIN_TARGET_END _Pragma("GCC pop_options")
#endif

CONSTRAIN_TARGET_BEGIN("avx2,fma")
namespace avx2 {
namespace {
constexpr bool kFused = kContracts;
constexpr std::size_t kPart = 8;
CONSTRAIN_INLINE __m256 part(const Floats& x, std::size_t i) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(&x) + i);
}
CONSTRAIN_INLINE void put(Floats& x, std::size_t i, __m256 value) {
    _mm256_storeu_ps(reinterpret_cast<float*>(&x) + i, value);
}
CONSTRAIN_INLINE __m256 lanes(std::uint32_t bits, std::size_t i) {
    const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits >> i)), each);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, each));
}
CONSTRAIN_INLINE std::uint32_t ge_bits(const Floats& x, const Floats& y) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < kLanes; i += kPart) {
        const __m256 greater = _mm256_cmp_ps(part(x, i), part(y, i), _CMP_GE_OQ);
        bits |= static_cast<std::uint32_t>(_mm256_movemask_ps(greater)) << i;
    }
    return bits;
}
CONSTRAIN_INLINE void pick(Floats& out, std::uint32_t bits, const Floats& a, const Floats& b) {
    for (std::size_t i = 0; i < kLanes; i += kPart) {
        put(out, i, _mm256_blendv_ps(part(b, i), part(a, i), lanes(bits, i)));
    }
}
CONSTRAIN_INLINE void add(Floats& sum, std::uint32_t bits, const Floats& a) {
    for (std::size_t i = 0; i < kLanes; i += kPart) {
        put(sum, i, _mm256_add_ps(part(sum, i), _mm256_and_ps(lanes(bits, i), part(a, i))));
    }
}
CONSTRAIN_INLINE void raise_to(Floats& top, const Floats& value) {
    for (std::size_t i = 0; i < kLanes; i += kPart) {
        put(top, i, _mm256_max_ps(part(value, i), part(top, i)));
    }
}
#include "sampler_loops.h"
}  // namespace
}  // namespace avx2
CONSTRAIN_TARGET_END

CONSTRAIN_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl")
namespace avx512 {
namespace {
constexpr bool kFused = kContracts;
CONSTRAIN_INLINE std::uint32_t ge_bits(const Floats& x, const Floats& y) {
    return static_cast<std::uint32_t>(_mm512_cmp_ps_mask((__m512)x, (__m512)y, _CMP_GE_OQ));
}
CONSTRAIN_INLINE void pick(Floats& out, std::uint32_t bits, const Floats& a, const Floats& b) {
    const auto mask = static_cast<__mmask16>(bits);
    out = (Floats)_mm512_mask_blend_ps(mask, (__m512)b, (__m512)a);
}
CONSTRAIN_INLINE void add(Floats& sum, std::uint32_t bits, const Floats& a) {
    const auto mask = static_cast<__mmask16>(bits);
    sum = (Floats)_mm512_mask_add_ps((__m512)sum, mask, (__m512)sum, (__m512)a);
}
CONSTRAIN_INLINE void raise_to(Floats& top, const Floats& value) {
    top = value > top ? value : top;
}
#include "sampler_loops.h"
}  // namespace
}  // namespace avx512
CONSTRAIN_TARGET_END
#endif

namespace {

struct InstructionSet {
    std::string_view name;
    const VectorLoops* loops;
};

// Those of this processor, widest first.
std::vector<InstructionSet> supported() {
    std::vector<InstructionSet> sets;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        sets.push_back({"avx512", &avx512::loops});
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        sets.push_back({"avx2", &avx2::loops});
    }
#endif
    sets.push_back({"baseline", &baseline::loops});
    return sets;
}

std::atomic<const VectorLoops*>& in_use() {
    static std::atomic<const VectorLoops*> loops = supported().front().loops;
    return loops;
}

}  // namespace

const VectorLoops& vector_loops() { return *in_use().load(std::memory_order_relaxed); }

std::vector<std::string_view> instruction_sets() {
    std::vector<std::string_view> names;
    for (const InstructionSet& set : supported()) {
        names.push_back(set.name);
    }
    return names;
}

std::string_view use_instruction_set(std::string_view name) {
    const VectorLoops* wanted = nullptr;
    std::string_view before;
    for (const InstructionSet& set : supported()) {
        wanted = set.name == name ? set.loops : wanted;
        before = set.loops == &vector_loops() ? set.name : before;
    }
    if (wanted == nullptr) {
        throw std::invalid_argument("no loops for this instruction set here");
    }
    in_use() = wanted;
    return before;
}

}  // namespace constrain
