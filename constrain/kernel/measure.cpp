#include "measure.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "sampler_vectors.h"

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLowest = -87.0F;  // weights below e^-87 are 0 in the vector loops

// Weights and logits of one set of tokens, relative to its greatest logit.
struct Mass {
    double max = -kInfinity;
    double weight = 0;  // sum of e^(x - max)
    double moment = 0;  // sum of e^(x - max) * (x - max)

    double logprob(double logit) const {
        if (max == kInfinity) {
            return logit == kInfinity ? -std::log(weight) : -kInfinity;
        }
        return logit - max - std::log(weight);
    }
    double entropy() const { return std::max(0.0, std::log(weight) - moment / weight); }
};

// The row in chunks; the last one is padded with forbidden logits of -inf.
class Row {
  public:
    Row(const float* logits, const std::uint32_t* words, std::size_t n_vocab)
        : logits_(logits), words_(words), n_vocab_(n_vocab) {
        const std::size_t begin = (n_chunks() - 1) * kChunk;
        tail_.fill(-kInfinity);
        std::copy(logits + begin, logits + n_vocab, tail_.begin());
        std::copy(words + begin / 32, words + (n_vocab + 31) / 32, tail_words_.begin());
        for (std::size_t i = n_vocab - begin; i < kChunk; ++i) {
            tail_words_[i / 32] &= ~(1U << (i % 32));
        }
    }

    std::size_t n_chunks() const { return (n_vocab_ + kChunk - 1) / kChunk; }
    const float* logits(std::size_t chunk) const {
        return chunk + 1 == n_chunks() ? tail_.data() : logits_ + chunk * kChunk;
    }
    const std::uint32_t* words(std::size_t chunk) const {
        return chunk + 1 == n_chunks() ? tail_words_.data() : words_ + chunk * kChunkWords;
    }
    bool allowed(std::size_t chunk, std::size_t i) const {
        return (words(chunk)[i / 32] >> (i % 32) & 1U) != 0;
    }

  private:
    const float* logits_;
    const std::uint32_t* words_;
    std::size_t n_vocab_;
    std::array<float, kChunk> tail_{};
    std::array<std::uint32_t, kChunkWords> tail_words_{};
};

// Sum of w * max(v - max, kLowest); a token of weight 0 adds 0, -inf included. Plain loops: GCC
// 12 turns them into SSE2, but the same with its 16-lane vectors into code four times slower.
double moment_of(const float* values, const float* weights, float max) {
    std::array<float, kLanes> sums{};
    for (std::size_t row = 0; row < kChunk; row += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const float distance = values[row + lane] - max;
            sums[lane] += weights[row + lane] * (distance > kLowest ? distance : kLowest);
        }
    }
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// Logits of +inf share all mass: the limit of equal logits that grow.
Mass infinite_mass(const Row& row, bool only_allowed) {
    Mass mass{kInfinity, 0, 0};
    for (std::size_t chunk = 0; chunk < row.n_chunks(); ++chunk) {
        for (std::size_t i = 0; i < kChunk; ++i) {
            const bool counts = !only_allowed || row.allowed(chunk, i);
            mass.weight += counts && row.logits(chunk)[i] == kInfinity ? 1 : 0;
        }
    }
    return mass;
}

Mass mass_of(const Row& row, const std::vector<float>& chunk_max, bool only_allowed) {
    const float max = *std::max_element(chunk_max.begin(), chunk_max.end());
    if (max == kInfinity) {
        return infinite_mass(row, only_allowed);
    }
    Mass mass{max, 0, 0};
    std::array<float, kChunk> masked;
    std::array<float, kChunk> weights;
    for (std::size_t chunk = 0; chunk < row.n_chunks(); ++chunk) {
        if (!(chunk_max[chunk] - max > kLowest)) {
            continue;
        }
        const float* values = row.logits(chunk);
        if (only_allowed) {
            vector_loops().mask(values, row.words(chunk), masked.data());
            values = masked.data();
        }
        mass.weight += vector_loops().weigh(values, {max, 1, -kInfinity}, weights.data());
        mass.moment += moment_of(values, weights.data(), max);
    }
    return mass;
}

struct Candidate {
    float logit;
    std::int32_t token_id;
    bool operator<(const Candidate& other) const {
        return logit != other.logit ? logit > other.logit : token_id < other.token_id;
    }
};

// The n greatest tokens of one side of the mask.
std::vector<Candidate> greatest(const Row& row, const std::vector<float>& chunk_max, bool allowed,
                                std::size_t n) {
    std::vector<Candidate> found;
    if (n == 0) {
        return found;
    }
    float least = -kInfinity;
    if (n <= chunk_max.size()) {
        std::vector<float> sorted = chunk_max;
        const auto nth = sorted.begin() + static_cast<std::ptrdiff_t>(n - 1);
        std::nth_element(sorted.begin(), nth, sorted.end(), std::greater<>());
        least = *nth;
    }
    for (std::size_t chunk = 0; chunk < row.n_chunks(); ++chunk) {
        if (chunk_max[chunk] < least || chunk_max[chunk] == -kInfinity) {
            continue;
        }
        const float* values = row.logits(chunk);
        for (std::size_t i = 0; i < kChunk; ++i) {
            if (values[i] >= least && values[i] > -kInfinity && row.allowed(chunk, i) == allowed) {
                found.push_back({values[i], static_cast<std::int32_t>(chunk * kChunk + i)});
            }
        }
    }
    const std::size_t n_kept = std::min(n, found.size());
    const auto end = found.begin() + static_cast<std::ptrdiff_t>(n_kept);
    std::partial_sort(found.begin(), end, found.end());
    found.resize(n_kept);
    return found;
}

}  // namespace

RowMeasure measure_row(const float* logits, const std::uint32_t* words, std::size_t n_vocab,
                       std::size_t n) {
    const Row row(logits, words, n_vocab);
    std::vector<float> all_max(row.n_chunks());
    std::vector<float> allowed_max(row.n_chunks());
    std::vector<float> forbidden_max(row.n_chunks());
    std::array<float, kLanes> unused;
    RowMeasure result;
    for (std::size_t chunk = 0; chunk < row.n_chunks(); ++chunk) {
        std::array<std::uint32_t, kChunkWords> inverse;
        std::transform(row.words(chunk), row.words(chunk) + kChunkWords, inverse.begin(),
                       std::bit_not<>());
        const ChunkMaxima maxima =
            vector_loops().maxima(row.logits(chunk), row.words(chunk), unused.data());
        const ChunkMaxima others =
            vector_loops().maxima(row.logits(chunk), inverse.data(), unused.data());
        result.has_nan = result.has_nan || maxima.has_nan;
        all_max[chunk] = maxima.all;
        allowed_max[chunk] = maxima.allowed;
        forbidden_max[chunk] = others.allowed;
    }
    result.has_allowed =
        *std::max_element(allowed_max.begin(), allowed_max.end()) > -kInfinity;
    if (result.has_nan || !result.has_allowed) {
        return result;
    }
    const Mass all = mass_of(row, all_max, false);
    const Mass allowed = mass_of(row, allowed_max, true);
    result.entropy = all.entropy();
    result.masked_entropy = allowed.entropy();
    for (const Candidate& c : greatest(row, allowed_max, true, n)) {
        result.allowed.push_back({c.token_id, all.logprob(c.logit), allowed.logprob(c.logit)});
    }
    for (const Candidate& c : greatest(row, forbidden_max, false, n)) {
        result.forbidden.push_back({c.token_id, all.logprob(c.logit), -kInfinity});
    }
    return result;
}

}  // namespace constrain
