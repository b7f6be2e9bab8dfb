// One sampling step over masked logits: logits and mask in, one token out.
//
// Idea: never sort the vocabulary. A first pass finds the maxima. A second one has the model's
// own log-sum-exp, the mass that the mask removes and the sum of the weights to draw from (the
// same exponentials where the temperature is 1), and with them what the next step asks for: the
// mean of the weighed logits, or the mass and the edge of a nucleus. top-p and typical-p keep
// the tokens nearest to some logit (the greatest one; the mean one), so both are one search
// (sampler_nucleus.cpp). Weights are not kept: a draw walks the sums of chunks, then weighs one
// chunk again.
//
// Two ways lead through a step. Few tokens (allowed, or left by top-k) are listed, and every
// truncation works on the list (sampler_list.cpp). Of more tokens, truncations raise a floor
// under the logits or clear bits of a copy of the mask (sampler_wide.cpp), until few are left or
// all steps are done. Biases and penalties are patches: the loops pass over the tokens that have
// one, and each is added to the sums by itself.
//
// The order of a step: logit bias, the automaton's bias, penalties, DRY, bans, mask, then
// SamplingSettings::steps, draw (constrain/sampling/processors.py has the formulas).
//
// Cost: O(n_vocab + bias + history), two passes of vector loops, a third after dynamic
// temperature or a second nucleus; 128 256 tokens: see tests/benchmarks/sampling.py.
// Random numbers: SplitMix64 used as a counter (Steele, Lea and Flood, Fast splittable
// pseudorandom number generators, OOPSLA 2014): the i-th draw is mix(key + i * gamma).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sampler_vectors.h"

namespace constrain {

enum class Step : std::int32_t {
    temperature,
    top_n_sigma,
    top_k,
    top_p,
    min_p,
    typical_p,
    xtc,
    mirostat_1,
    mirostat_2
};

// Values are checked by the Python side (constrain/sampling/settings.py).
struct SamplingSettings {
    std::vector<Step> steps;  // those that do something, in their order
    double temperature = 1;   // 0: greedy
    double dynamic_range = 0;
    double dynamic_exponent = 1;
    double top_n_sigma = 0;
    std::int64_t top_k = 0;
    double top_p = 1;
    double min_p = 0;
    double typical_p = 1;
    double xtc_probability = 0;
    double xtc_threshold = 0;
    float repeat_penalty = 1;
    float frequency_penalty = 0;
    float presence_penalty = 0;
    double dry_multiplier = 0;
    double dry_base = 1;
    std::int64_t dry_allowed_length = 0;
    bool bans_yield = false;  // where a ban leaves no token that can come, it does not count
};

// What happened to one token: an addend, occurrences in the history, a DRY penalty.
struct LogitEdit {
    std::int32_t token_id;
    float add;
    std::int32_t seen;
    float dry;
};

// What changes from step to step beside logits and mask.
struct StepInput {
    std::span<const LogitEdit> bias;        // the automaton's
    std::span<const std::int32_t> history;  // tokens that the penalties count
    std::span<const std::int32_t> dry;      // tokens that DRY compares; negative: matches nothing
    std::size_t dry_limit = 0;              // how many of the last ones may be a repeated end
    std::span<const std::int32_t> banned;   // beside those that are always banned
    double mu = 0;                          // of mirostat, in bits
    std::uint64_t key = 0;
    std::uint64_t counter = 0;
};

enum class StepStatus : std::int32_t { ok, empty_mask, nan_logit, all_impossible, all_banned };

struct StepResult {
    StepStatus status = StepStatus::ok;
    std::int32_t token_id = -1;
    double logprob = 0;           // the model's own, over the whole vocabulary
    double masked_logprob = 0;    // the same logits, renormalized over the allowed tokens
    double sampling_logprob = 0;  // under the distribution it was drawn from
    double removed_mass = 0;      // 1 - the model's probability of all allowed tokens
    std::int64_t n_allowed = 0;   // by the mask; bans are not counted
    bool drawn = false;           // a random number was used
};

// The i-th number of the stream `key`, uniform in [0, 1) with 53 bits.
double uniform(std::uint64_t key, std::uint64_t counter);

// The DRY penalty of each token that would lengthen a repetition (sampler_history.cpp).
std::vector<LogitEdit> dry_edits(std::span<const std::int32_t> history, std::size_t limit,
                                 const SamplingSettings& settings);

class TokenSampler {
   public:
    // `bias` is added at every step; `banned` tokens never come (but see bans_yield);
    // `dry_spared` have no DRY penalty. Throws std::out_of_range for an id outside the
    // vocabulary.
    TokenSampler(std::size_t n_vocab, SamplingSettings settings, std::vector<LogitEdit> bias,
                 std::span<const std::int32_t> banned, std::span<const std::int32_t> dry_spared);

    // logits: float32[n_vocab]; words: uint32[(n_vocab + 31) / 32], bits past n_vocab ignored.
    // Nothing is kept from one call to the next. Throws std::out_of_range for an id outside the
    // vocabulary.
    StepResult sample(const float* logits, const std::uint32_t* words, const StepInput& input);

    std::size_t n_vocab() const { return n_vocab_; }

   private:
    struct Patch {
        std::int32_t token_id;
        float value;
    };
    struct Candidate {
        std::int32_t token_id;
        float value;   // working logit
        double order;  // what ranks it, descending
        double mass;   // e^((value - max) / heat)
    };
    // Keeps what is nearer to `center` than `radius`, and of equals the ids up to `last`.
    struct Ring {
        double center = 0;
        double radius = std::numeric_limits<double>::infinity();
        std::int32_t last = std::numeric_limits<std::int32_t>::max();
        bool keeps(float value, std::int32_t id) const;
    };
    struct Random {
        double draw = 0;
        double xtc = 0;
    };

    struct Mean {
        double value = 0;
        double error = 0;
    };
    // What the sample says of the distances that a nucleus ends between.
    struct Guess {
        float low = 0;
        float high = std::numeric_limits<float>::infinity();
    };

    // Reading the input (sampler.cpp).
    const float* chunk_logits(std::size_t chunk) const;
    const float* chunk_values(std::size_t chunk) const;
    const std::uint32_t* chunk_words(std::size_t chunk) const;
    const std::uint32_t* chunk_mask(std::size_t chunk) const;
    const std::uint32_t* chunk_plain(std::size_t chunk);
    std::span<const Patch> patches_of(std::size_t chunk) const;
    void check_id(std::int32_t token_id) const;
    bool is_left(std::int32_t token_id) const;
    void bind(const float* logits, const std::uint32_t* words);
    void load(std::size_t chunk);
    float value_of(std::int32_t token_id) const;
    StepStatus scan(std::int64_t& n_allowed);
    StepStatus prepare(const StepInput& input);
    StepStatus apply_patches();
    void raise_maxima(std::size_t chunk);
    void flatten();
    void renew(std::size_t chunk);

    // What happened before, as patches and bans (sampler_history.cpp).
    float patched(const LogitEdit* first, const LogitEdit* last) const;
    void count_history(std::span<const std::int32_t> history);
    void sort_edits();
    template <typename Digit>
    void distribute(std::size_t n_digits, Digit digit);
    void make_patches(const StepInput& input);
    void forget_patches();
    void own_words();
    bool ban(std::span<const std::int32_t> banned);
    void strike(std::int32_t token_id);

    // The model's own log-probabilities (sampler_measure.cpp).
    double log_allowed();
    void measure_infinite(StepResult& result);
    void measure(StepResult& result);

    // Lists of candidates (sampler_list.cpp).
    static bool before(const Candidate& a, const Candidate& b);
    static Candidate prefix_end(std::vector<Candidate>& items, double target);
    static bool narrow(std::vector<Candidate>& items, double& target);
    void list_above(float least);
    void list_top_k(std::size_t k);
    void keep(const Candidate& end);
    void keep_best(std::size_t k);
    double weigh_listed();
    double entropy_listed(double total) const;
    void keep_typical();
    void keep_sigma();
    void keep_xtc();
    void keep_unsurprising(double mu);
    double mirostat_size(std::size_t n, double mu);
    void step_listed(Step step, const Random& random, double mu);
    std::int32_t finish_listed(std::size_t next, const Random& random, double mu,
                               StepResult& result);
    std::int32_t choose_listed(double u, StepResult& result);

    // Weights of all tokens, and the draw from them (sampler_weights.cpp).
    double log_weight(float value) const;
    static float at_least(double value);
    float floor_of(double share) const;
    double heated(double entropy, double n) const;
    double weigh(Extra extra);
    void weigh_patches(Extra extra);
    double weighed();
    std::int32_t draw(double u, StepResult& result);

    // The search by distance (sampler_nucleus.cpp).
    static double up_to(const std::vector<float>& nearness, const std::vector<float>& masses,
                        float distance);
    void take_sample();
    Mean sampled_mean() const;
    double sampled(const std::vector<float>& parts, float distance) const;
    Guess guess(const Mean& center, double share);
    void bracket(Guess& bounds, double share) const;
    void sharpen(Guess& bounds, double near, double far);
    void halve(Guess& bounds, double target) const;
    void aim(double center, const Guess& bounds);
    std::size_t list_band(double center);
    Ring settle(double center, double target, Guess bounds);
    bool is_peaked(float least, double share);
    bool nearest_listed(Step step, float least, double share, Ring& ring);
    static Guess next_guess(Guess& known, const Guess& tried, bool beyond, float width,
                            float margin);
    Ring nearest(Step step);

    // Steps over more tokens than can be listed (sampler_wide.cpp).
    void raise_floor(float least);
    void recount();
    void keep_ring(const Ring& ring);
    void keep_sigma_wide();
    ChunkSpread exact_spread();
    float least_of(double weight) const;
    void keep_xtc_wide();
    bool heat_wide();
    bool step_wide(Step step, const Random& random, double mu);
    bool is_few(Step next);
    std::int32_t choose_wide(const Random& random, double mu, StepResult& result);

    std::int32_t greatest();
    std::int32_t choose(const Random& random, double mu, StepResult& result);

    std::size_t n_vocab_;
    std::size_t n_chunks_;
    SamplingSettings settings_;
    bool greedy_;    // the greatest logit is all that can come out
    bool needs_count_;  // a formula has the number of tokens that are not -inf
    std::vector<LogitEdit> bias_;
    std::vector<std::uint32_t> banned_;      // mask words, padded; empty: nothing
    std::vector<std::uint32_t> dry_spared_;  // the same

    const float* logits_ = nullptr;
    const std::uint32_t* words_ = nullptr;
    std::vector<float> tail_logits_;          // the last chunk, padded
    std::vector<std::uint32_t> tail_words_;
    std::vector<std::uint32_t> own_;          // [n_chunks * kChunkWords]: the mask less what is out
    bool owned_ = false;                      // own_ holds instead of the mask
    std::vector<float> flat_;                 // [n_chunks * kChunk]: working logits if infinite_
    std::vector<LogitEdit> edits_;
    std::vector<LogitEdit> sorted_edits_;
    std::vector<std::uint32_t> digit_ends_;
    std::vector<std::int32_t> counts_;        // [n_vocab], all 0 between steps
    std::vector<Patch> patches_;              // by id; only allowed tokens
    std::vector<std::uint32_t> patch_start_;  // [n_chunks + 1]: where a chunk's patches begin
    std::vector<std::uint32_t> patched_;      // mask words of patches_
    std::vector<std::uint32_t> plain_;        // [kChunkWords]: what chunk_plain() made
    std::vector<float> lane_max_;             // [n_chunks * kLanes] working maxima, padded
    std::vector<float> chunk_max_;            // [n_chunks]
    float raw_max_ = 0;                       // over the whole vocabulary
    float raw_allowed_max_ = 0;               // over the allowed tokens
    float max_ = 0;                           // of the working logits
    float floor_ = 0;                         // lesser working logits are out
    std::int64_t n_left_ = 0;                 // tokens that may still come, after recount()
    bool infinite_ = false;                   // max_ was +inf: those count 0, all else -inf
    double heat_ = 1;                         // the temperature so far
    bool measured_ = false;                   // the two sums below are there
    double allowed_mass_ = 0;
    double forbidden_mass_ = 0;
    Weighing how_;                            // of the weights that follow
    bool weighed_ = false;                    // chunk_mass_ is of the tokens that are left,
    std::vector<double> chunk_mass_;          //   but for chunks where it is negative
    std::vector<double> chunk_near_;          // after weigh(kBelow or kAround)
    std::vector<std::uint32_t> ring_bits_;    // [n_chunks * kChunkWords], the same
    double moment_ = 0;                       // after weigh(kMoment or kAround)
    Ring last_ring_;                          // what the last step kept
    std::vector<float> values_;               // [kChunk]: the chunk that load() made
    std::vector<float> masses_;               // [kChunk]
    std::vector<float> sample_values_;        // after take_sample()
    std::vector<float> sample_nearness_;      // distances, negative,
    std::vector<float> sample_masses_;        //   the mass that each stands for,
    std::vector<float> sample_squares_;       //   and its square, where it stands for others
    std::vector<float> part_nearness_;        // of what of the sample, or of all tokens, is
    std::vector<float> part_masses_;          //   between two distances
    std::vector<std::int32_t> band_ids_;      // after list_band(): the latter,
    std::vector<std::size_t> band_start_;     // [n_chunks + 1]: where a chunk's begin
    std::vector<Candidate> listed_;           // ascending id
    std::vector<Candidate> scratch_;
    std::vector<Candidate> band_;             // after settle(): those nearest to the end
    std::vector<float> group_scratch_;
    std::vector<std::int32_t> positions_;
};

// ---- reading one chunk or token: at every turn of the loops

inline const float* TokenSampler::chunk_logits(std::size_t chunk) const {
    return (chunk + 1) * kChunk <= n_vocab_ ? logits_ + chunk * kChunk : tail_logits_.data();
}

inline const std::uint32_t* TokenSampler::chunk_mask(std::size_t chunk) const {
    return (chunk + 1) * kChunk <= n_vocab_ ? words_ + chunk * kChunkWords : tail_words_.data();
}

inline const std::uint32_t* TokenSampler::chunk_words(std::size_t chunk) const {
    return owned_ ? &own_[chunk * kChunkWords] : chunk_mask(chunk);
}

// The working logits, but for patches.
inline const float* TokenSampler::chunk_values(std::size_t chunk) const {
    return infinite_ ? &flat_[chunk * kChunk] : chunk_logits(chunk);
}

// The tokens that may come and have no patch.
inline const std::uint32_t* TokenSampler::chunk_plain(std::size_t chunk) {
    const std::uint32_t* words = chunk_words(chunk);
    if (patch_start_[chunk] == patch_start_[chunk + 1]) {
        return words;
    }
    for (std::size_t i = 0; i < kChunkWords; ++i) {
        plain_[i] = words[i] & ~patched_[chunk * kChunkWords + i];
    }
    return plain_.data();
}

inline std::span<const TokenSampler::Patch> TokenSampler::patches_of(std::size_t chunk) const {
    return std::span(patches_).subspan(patch_start_[chunk],
                                       patch_start_[chunk + 1] - patch_start_[chunk]);
}

inline bool TokenSampler::is_left(std::int32_t token_id) const {
    const auto at = static_cast<std::size_t>(token_id);
    return (chunk_words(at / kChunk)[at % kChunk / 32] >> (at % 32) & 1U) != 0;
}

// The working logit of one allowed token.
inline float TokenSampler::value_of(std::int32_t token_id) const {
    const auto at = static_cast<std::size_t>(token_id);
    if ((patched_[at / 32] >> (at % 32) & 1U) != 0) {
        const auto patches = patches_of(at / kChunk);
        return std::lower_bound(patches.begin(), patches.end(), token_id,
                                [](const Patch& p, std::int32_t id) { return p.token_id < id; })
            ->value;
    }
    return chunk_values(at / kChunk)[at % kChunk];
}

}  // namespace constrain
