// Vector loops over one chunk of the vocabulary: maxima, exponentials, sums, comparisons.
//
// Idea: a sampling step reads 128 000 floats, so what it costs is decided by a few inner
// loops. They are written once (sampler_loops.h), with the compiler's generic 16-lane vectors
// (GCC and Clang lower them to SSE2, AVX2, AVX-512 or NEON), and compiled for three instruction
// sets on x86-64; the widest one that the processor has is chosen at the first call, and tests
// choose each that it has. Lanes are added in the same order everywhere; multiply-add is fused
// where the processor can, so
// processors without it (x86-64 before 2013) may differ in the last bit of a weight, and a draw
// that falls within that bit in its token.
//
// exp: 2^n * e^r with n = round(x / ln 2), |r| <= ln(2)/2 (reduction: Cody and Waite, Software
// Manual for the Elementary Functions, 1980, chapter 6), e^r = 1 + r q(r), q of degree 4 fitted
// here for the least greatest relative error (Lawson's weights, 20 000 points): 9.4e-8 before
// rounding. Tests hold the whole to 4e-7. ln 2 is taken in one part where multiply-add is fused
// (as a float it is right to 2.7e-9, 2.4e-7 at e^-87), else in two. 2^n is put on by adding n
// to the exponent's bits, which leaves the multipliers to the polynomial.
//
// Dropped: target_clones (needs ifunc, which sanitizers and musl do not take); libm's expf
// (0.5 ms for 128 000 scalar calls); a table of 16 powers of 2 in a register and a shorter
// polynomial (the look-up costs what the shorter polynomial saves).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace constrain {

inline constexpr std::size_t kLanes = 16;
inline constexpr std::size_t kChunk = 512;  // tokens a chunk: 2 KB of logits, stays in L1
inline constexpr std::size_t kChunkWords = kChunk / 32;
inline constexpr float kLowestExponent = -87.0F;  // e^-87 = 1.6e-38 is still a normal float32

struct ChunkMaxima {
    float allowed = 0;    // greatest allowed logit, or -inf; NaN ignored
    float forbidden = 0;  // of the others
    bool has_nan = false;
    std::int32_t n_allowed = 0;
};

struct ChunkMass {
    float allowed = 0;    // sum of e^(x - max) over the allowed tokens
    float forbidden = 0;  // over the others
    float kept = 0;       // sum of the weights
    float moment = 0;     // sum of weight * (x - how.max)
    float near = 0;       // sum of the weights inside the ring
};

// How weights are made: e^((x - max) * scale) where x >= least, else 0. `max` is finite; where
// the exponent is below kLowestExponent the weight is 0, and it is at most about 40. A ring has
// the values at distances of [low, high) from `center`; or, where that is the greatest value,
// those of [outer, inner).
struct Weighing {
    float max = 0;
    float scale = 1;
    float least = 0;
    float center = 0;
    float low = 0;
    float high = 0;
    float inner = 0;
    float outer = 0;
};

// Where the exponentials of a pass come from: the model's own sums are not asked for; they are
// the weights, of all allowed tokens (how.max is their maximum, how.scale is 1) or of some; they
// are others.
enum Exponentials : std::size_t { kAlone, kWhole, kShared, kPaired, kSources };

// What a pass finds beside `kept`: nothing; `moment`; `near`, what is nearer than a ring around
// the greatest value, and the ring; `moment` and the same of any ring.
enum Extra : std::size_t { kNothing, kMoment, kBelow, kAround, kExtras };

// Sums of weights e^(x - max), and of weights times x less the greatest of their side.
struct ChunkMoments {
    float allowed = 0;
    float forbidden = 0;
    float allowed_moment = 0;    // of weight * (x - max + shift)
    float forbidden_moment = 0;  // of weight * (x - max)
};

struct ChunkSpread {
    double n = 0;
    double sum = 0;      // of x - center
    double squares = 0;  // of (x - center)^2
};

// Every pointer to floats is to kChunk of them, `words` to kChunkWords mask words (bit 1 =
// allowed), `positions` to kChunk indices, of which `n` are written, ascending. Nothing needs
// alignment. "values" are logits after masking: -inf where a token is out.
struct VectorLoops {
    // `lane_max` receives kLanes maxima of allowed logits: lane l covers the tokens l, l+16, …
    ChunkMaxima (*maxima)(const float* logits, const std::uint32_t* words, float* lane_max);
    // `allowed` and `forbidden` alone; max is finite and at least every x.
    ChunkMass (*masses)(const float* logits, const std::uint32_t* words, float max);
    // As `masses`, with the moments that entropies are made of. `shift` is how far the greatest
    // allowed logit is below max.
    ChunkMoments (*moments)(const float* logits, const std::uint32_t* words, float max,
                            float shift);
    // As `masses`, and weights of the tokens in `weighed`. `ring` receives a bit for each of them
    // that is in the ring.
    ChunkMass (*pass[kSources][kExtras])(const float* logits, const std::uint32_t* words,
                                         float max, const std::uint32_t* weighed,
                                         const Weighing& how, std::uint32_t* ring);
    // out = logit where allowed, else -inf.
    void (*mask)(const float* logits, const std::uint32_t* words, float* out);
    // The same for one row of kLanes, less those that are their lane's maximum.
    void (*others)(const float* logits, const std::uint32_t* words, std::size_t row,
                   const float* lane_max, float* out);
    // out = weights, and their sum; out may be values.
    float (*weigh)(const float* values, const Weighing& how, float* out);
    // Sum of the weights of values >= least.
    float (*kept)(const float* values, const float* weights, float least);
    // Positions of the values in [low, high).
    std::size_t (*band)(const float* values, float low, float high, std::int32_t* positions);
    // Clears the bits of values outside [low, high].
    void (*within)(const float* values, float low, float high, std::uint32_t* words);
    // How many allowed logits are >= least.
    std::int32_t (*count)(const float* logits, const std::uint32_t* words, float least);
    // Over the allowed logits that are >= least.
    ChunkSpread (*spread)(const float* logits, const std::uint32_t* words, float least,
                          float center);
};

// The loops in use: the widest for this processor, unless another set was chosen. Thread-safe.
const VectorLoops& vector_loops();

// What the processor has loops for, widest first: of "avx512", "avx2" and "baseline".
std::vector<std::string_view> instruction_sets();

// Takes the loops of one of them from now on, in all threads; for tests. Returns the name of the
// set used before. Throws std::invalid_argument for any other name.
std::string_view use_instruction_set(std::string_view name);

}  // namespace constrain
