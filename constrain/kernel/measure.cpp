#include "measure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "sampler_vectors.h"

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLowest = -87.0F;   // weights below e^-87 are 0 in the vector loops
constexpr float kFarBelow = 40.0F;  // what is e^-47 of the greatest still has a weight then

// Weights and logits of one set of tokens, relative to its greatest logit.
struct Mass {
    double max = -kInfinity;
    double weight = 0;  // sum of e^(x - max)
    double moment = 0;  // sum of e^(x - max) * (x - max)

    double logprob(double logit) const {
        if (max == kInfinity) {
            return logit == kInfinity ? -std::log(weight) : -kInfinity;
        }
        return std::min(0.0, logit - max - std::log(weight));  // rounding
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

// The allowed tokens alone, where they are so improbable that their weights vanish among all.
Mass mass_of_allowed(const Row& row, const std::vector<float>& chunk_max, float max) {
    Mass mass{max, 0, 0};
    std::array<float, kChunk> values;
    std::array<float, kChunk> weights;
    for (std::size_t chunk = 0; chunk < row.n_chunks(); ++chunk) {
        if (!(chunk_max[chunk] - max > kLowest)) {
            continue;
        }
        vector_loops().mask(row.logits(chunk), row.words(chunk), values.data());
        mass.weight += vector_loops().weigh(values.data(), {max, 1, -kInfinity}, weights.data());
        mass.moment += moment_of(values.data(), weights.data(), max);
    }
    return mass;
}

// Greatest logits of the chunks, on both sides of the mask.
struct Maxima {
    std::vector<float> allowed;
    std::vector<float> forbidden;
    bool has_nan = false;

    explicit Maxima(const Row& row) : allowed(row.n_chunks()), forbidden(row.n_chunks()) {
        std::array<float, kLanes> unused;
        for (std::size_t chunk = 0; chunk < row.n_chunks(); ++chunk) {
            const ChunkMaxima maxima =
                vector_loops().maxima(row.logits(chunk), row.words(chunk), unused.data());
            allowed[chunk] = maxima.allowed;
            forbidden[chunk] = maxima.forbidden;
            has_nan = has_nan || maxima.has_nan;
        }
    }
    static float top(const std::vector<float>& maxima) {
        return *std::max_element(maxima.begin(), maxima.end());
    }
};

struct Masses {
    Mass all;
    Mass allowed;
};

// Both in weights relative to `max`; the moment of the allowed tokens is one to the greatest of
// them, which is `shift` below.
Masses mass_of_all(const Row& row, const Maxima& maxima, float max, float shift) {
    Masses found{{max, 0, 0}, {max, 0, 0}};
    for (std::size_t chunk = 0; chunk < row.n_chunks(); ++chunk) {
        if (std::max(maxima.allowed[chunk], maxima.forbidden[chunk]) - max < kLowest) {
            continue;
        }
        const ChunkMoments sums =
            vector_loops().moments(row.logits(chunk), row.words(chunk), max, shift);
        found.allowed.weight += sums.allowed;
        found.allowed.moment += sums.allowed_moment;
        found.all.weight += static_cast<double>(sums.allowed) + sums.forbidden;
        found.all.moment += sums.forbidden_moment;
    }
    found.all.moment += found.allowed.moment - found.allowed.weight * shift;
    return found;
}

double weight_of(float distance) {
    std::array<float, kChunk> values;
    values.fill(-kInfinity);
    values[0] = distance;
    return vector_loops().weigh(values.data(), {0, 1, -kInfinity}, values.data());
}

Masses masses_of(const Row& row, const Maxima& maxima) {
    const float top = Maxima::top(maxima.allowed);
    const float max = std::max(top, Maxima::top(maxima.forbidden));
    if (max == kInfinity) {
        const bool both = top == kInfinity;
        return {infinite_mass(row, false), both ? infinite_mass(row, true)
                                                : mass_of_allowed(row, maxima.allowed, top)};
    }
    if (top < max - kFarBelow) {
        return {mass_of_all(row, maxima, max, 0).all, mass_of_allowed(row, maxima.allowed, top)};
    }
    Masses found = mass_of_all(row, maxima, max, max - top);
    // As the loops weigh it, so that a token which is alone has all of the mass.
    const double weight = weight_of(top - max);
    found.allowed = {top, found.allowed.weight / weight, found.allowed.moment / weight};
    return found;
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
    const Maxima maxima(row);
    RowMeasure result;
    result.has_nan = maxima.has_nan;
    result.has_allowed = Maxima::top(maxima.allowed) > -kInfinity;
    if (result.has_nan || !result.has_allowed) {
        return result;
    }
    const auto [all, allowed] = masses_of(row, maxima);
    result.entropy = all.entropy();
    result.masked_entropy = allowed.entropy();
    for (const Candidate& c : greatest(row, maxima.allowed, true, n)) {
        result.allowed.push_back({c.token_id, all.logprob(c.logit), allowed.logprob(c.logit)});
    }
    for (const Candidate& c : greatest(row, maxima.forbidden, false, n)) {
        result.forbidden.push_back({c.token_id, all.logprob(c.logit), -kInfinity});
    }
    return result;
}

}  // namespace constrain
