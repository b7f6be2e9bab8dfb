#include "sampler_vectors.h"

#include <bit>
#include <cstring>
#include <limits>

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

// Three things that generic vectors cannot say well. CONSTRAIN_GE_BITS(x, y): bit l is x[l] >=
// y[l]. CONSTRAIN_PICK(out, bits, a, b): out[l] = bit l ? a[l] : b[l]. CONSTRAIN_ADD(sum, bits,
// a): sum[l] += a[l] where bit l. Bits from 16 on are ignored. Comparisons stand directly in the conditions of the loops: GCC 12 turns a stored vector of AVX-512 comparison
// results into scalar code.

namespace baseline {
namespace {
constexpr bool kFused = false;
constexpr Ints kLaneBit = {1 << 0, 1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
                           1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};
CONSTRAIN_INLINE std::uint32_t ge_bits(const Floats& x, const Floats& y) {
    std::uint32_t bits = 0;
#if defined(__x86_64__)
    for (std::size_t i = 0; i < kLanes; i += 4) {
        const __m128 a = _mm_loadu_ps(reinterpret_cast<const float*>(&x) + i);
        const __m128 b = _mm_loadu_ps(reinterpret_cast<const float*>(&y) + i);
        bits |= static_cast<std::uint32_t>(_mm_movemask_ps(_mm_cmpge_ps(a, b))) << i;
    }
#else
    for (std::size_t i = 0; i < kLanes; ++i) {
        bits |= static_cast<std::uint32_t>(x[i] >= y[i]) << i;
    }
#endif
    return bits;
}
#define CONSTRAIN_GE_BITS(x, y) ge_bits(x, y)
#define CONSTRAIN_PICK(out, bits, a, b)                                                           \
    do {                                                                                          \
        const Ints lanes = kLaneBit & static_cast<std::int32_t>(bits);                            \
        (out) = lanes != 0 ? (a) : (b);                                                           \
    } while (false)
#define CONSTRAIN_ADD(sum, bits, a)                                                               \
    do {                                                                                          \
        const Ints lanes = kLaneBit & static_cast<std::int32_t>(bits);                            \
        (sum) += lanes != 0 ? (a) : Floats{};                                                     \
    } while (false)
#include "sampler_loops.h"
#undef CONSTRAIN_GE_BITS
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
constexpr Ints kLaneBit = baseline::kLaneBit;
CONSTRAIN_INLINE std::uint32_t ge_bits(const Floats& x, const Floats& y) {
    const float* a = reinterpret_cast<const float*>(&x);
    const float* b = reinterpret_cast<const float*>(&y);
    const __m256 low = _mm256_cmp_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), _CMP_GE_OQ);
    const __m256 high = _mm256_cmp_ps(_mm256_loadu_ps(a + 8), _mm256_loadu_ps(b + 8), _CMP_GE_OQ);
    return static_cast<std::uint32_t>(_mm256_movemask_ps(low)) |
           static_cast<std::uint32_t>(_mm256_movemask_ps(high)) << 8;
}
#define CONSTRAIN_GE_BITS(x, y) ge_bits(x, y)
#include "sampler_loops.h"
#undef CONSTRAIN_GE_BITS
#undef CONSTRAIN_PICK
#undef CONSTRAIN_ADD
}  // namespace
}  // namespace avx2
CONSTRAIN_TARGET_END

CONSTRAIN_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl")
namespace avx512 {
namespace {
constexpr bool kFused = kContracts;
#define CONSTRAIN_GE_BITS(x, y)                                                                   \
    static_cast<std::uint32_t>(_mm512_cmp_ps_mask((__m512)(x), (__m512)(y), _CMP_GE_OQ))
#define CONSTRAIN_PICK(out, bits, a, b)                                                           \
    (out) = (Floats)_mm512_mask_blend_ps(static_cast<__mmask16>(bits), (__m512)(b), (__m512)(a))
#define CONSTRAIN_ADD(sum, bits, a)                                                               \
    (sum) = (Floats)_mm512_mask_add_ps((__m512)(sum), static_cast<__mmask16>(bits), (__m512)(sum), \
                                       (__m512)(a))
#include "sampler_loops.h"
#undef CONSTRAIN_GE_BITS
#undef CONSTRAIN_PICK
#undef CONSTRAIN_ADD
}  // namespace
}  // namespace avx512
CONSTRAIN_TARGET_END
#endif

namespace {

const VectorLoops& choose() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        return avx512::loops;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return avx2::loops;
    }
#endif
    return baseline::loops;
}

}  // namespace

const VectorLoops& vector_loops() {
    static const VectorLoops& chosen = choose();
    return chosen;
}

}  // namespace constrain
