// Vector loops over one chunk of the vocabulary: maxima, exponentials, sums.
//
// Idea: a sampling step reads 128 000 floats, so what it costs is decided by a few inner
// loops. They are written once, with the compiler's generic 16-lane vectors (GCC and Clang
// lower them to SSE2, AVX2, AVX-512 or NEON), and compiled for three instruction sets on
// x86-64; the widest one that the processor has is chosen at the first call. Lanes are added
// in the same order everywhere; multiply-add is fused where the processor can, so processors
// without it (x86-64 before 2013) may differ in the last bit of a weight, and a draw that falls
// within that bit in its token.
//
// exp: 2^n * e^r with n = round(x / ln 2), |r| <= ln(2)/2 (reduction: Cody and Waite, Software
// Manual for the Elementary Functions, 1980, chapter 6), e^r = 1 + r q(r), q of degree 4 fitted
// here for the least greatest relative error (Lawson's weights, 20 000 points): 9.4e-8 before
// rounding. Tests hold the whole to 4e-7.
//
// Dropped: target_clones (needs ifunc, which sanitizers and musl do not take); libm's expf
// (0.5 ms for 128 000 scalar calls).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace constrain {

inline constexpr std::size_t kLanes = 16;
inline constexpr std::size_t kChunk = 512;  // tokens a chunk: 2 KB of logits, stays in L1
inline constexpr std::size_t kChunkWords = kChunk / 32;
inline constexpr std::size_t kLevels = 4;

// Weights e^z, z <= 0, at which weigh() also sums: masses[i] = sum of the weights >= kLevel[i].
inline constexpr std::array<float, kLevels> kLevel = {0.25F, 1.0F / 32, 1.0F / 256, 1.0F / 4096};

struct ChunkMaxima {
    float all = 0;      // greatest logit, NaN ignored
    float allowed = 0;  // greatest allowed logit, or -inf
    bool has_nan = false;
};

struct ChunkMass {
    float allowed = 0;
    float forbidden = 0;
};

struct ChunkWeights {
    float mass = 0;
    float top = 0;                       // greatest weight
    std::array<float, kLevels> above{};  // see kLevel
};

// Every pointer to floats is to kChunk of them, `words` to kChunkWords mask words (bit 1 =
// allowed). Nothing needs alignment.
struct VectorLoops {
    // `lane_max` receives kLanes maxima of allowed logits: lane l covers the tokens l, l+16, …
    ChunkMaxima (*maxima)(const float* logits, const std::uint32_t* words, float* lane_max);
    // Sums of e^(x - max); max is finite and at least every x.
    ChunkMass (*masses)(const float* logits, const std::uint32_t* words, float max);
    // out = logit where allowed, else -inf.
    void (*mask)(const float* logits, const std::uint32_t* words, float* out);
    // out = e^((v - max) * scale); same demands. `levels` also fills ChunkWeights::above.
    ChunkWeights (*weigh)(const float* values, float max, float scale, float* out);
    ChunkWeights (*levels)(const float* values, float max, float scale, float* out);
    // Sum of the weights of values >= least.
    float (*kept)(const float* values, const float* weights, float least);
    // Sum of weights >= high; positions of those in [low, high) go to `out`, their number to n.
    float (*band)(const float* weights, float low, float high, std::int32_t* out, std::size_t* n);
};

// The loops for this processor. Thread-safe.
const VectorLoops& vector_loops();

}  // namespace constrain
