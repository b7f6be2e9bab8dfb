// One sampling step over masked logits: logits and mask in, one token out.
//
// Idea: never sort the vocabulary. A first pass finds the maxima, a second the model's own
// log-sum-exp, the mass that the mask removes and the weights to draw from (the same
// exponentials where the temperature is 1). top-p and typical-p keep the tokens nearest to some
// logit (the greatest one; the mean one), so both are one search: a sample of one token in
// thirty-two and the exact maxima of small groups say between which distances the limit lies,
// one pass sums what is nearer and lists what is between, and the list is settled exactly.
// Drawing walks sums of chunks, then one chunk.
//
// Three ways lead through a step. Few tokens (allowed, or left by top-k) are listed, and every
// truncation works on the list (sampler_list.cpp). The ordinary settings over many tokens,
// temperature, top-p and min-p, take the two passes and the search (sampler_ordinary.cpp). All
// others clear bits of a copy of the mask, one truncation after the other, until few tokens are
// left or all steps are done (sampler_wide.cpp).
//
// The order of a step: logit bias, the automaton's bias, penalties, DRY, bans, mask, then
// SamplingSettings::steps, draw (constrain/sampling/processors.py has the formulas).
//
// Cost: O(n_vocab), two or three passes of vector loops; 128 256 tokens: see
// tests/benchmarks/sampling.py.
// Random numbers: SplitMix64 used as a counter (Steele, Lea and Flood, Fast splittable
// pseudorandom number generators, OOPSLA 2014): the i-th draw is mix(key + i * gamma).
#pragma once

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
    struct Banded {
        std::int32_t token_id;
        float key;  // rises with the distance
        float mass;
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

    // Reading the input (sampler.cpp).
    const float* chunk_logits(std::size_t chunk) const;
    const std::uint32_t* chunk_words(std::size_t chunk) const;
    const std::uint32_t* chunk_mask(std::size_t chunk) const;
    void check_id(std::int32_t token_id) const;
    void bind(const float* logits, const std::uint32_t* words);
    void load(std::size_t chunk);
    bool has_patch(std::size_t chunk) const;
    float value_of(std::int32_t token_id) const;
    StepStatus scan(std::int64_t& n_allowed);
    StepStatus prepare(const StepInput& input);
    StepStatus apply_patches();

    // What happened before, as patches and bans (sampler_history.cpp).
    float patched(const LogitEdit* first, const LogitEdit* last) const;
    void count_history(std::span<const std::int32_t> history);
    void make_patches(const StepInput& input);
    void own_words();
    bool ban(std::span<const std::int32_t> banned);
    void rescan();

    // The model's own log-probabilities (sampler_measure.cpp).
    double log_allowed();
    void measure_infinite(StepResult& result);
    void measure(StepResult& result);

    // Lists of candidates (sampler_list.cpp).
    static bool before(const Candidate& a, const Candidate& b);
    static Candidate prefix_end(std::vector<Candidate>& items, double target);
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

    // Weights of all tokens, and the search by distance (sampler_ordinary.cpp).
    double log_weight(float value) const;
    float floor_of(double share) const;
    double heated(double entropy, double n) const;
    double weigh_measuring(float least);
    double weigh(float least);
    void take_sample(double center);
    double sampled(const std::vector<float>& parts, float distance) const;
    void guess(double share, float& low, float& high) const;
    double list_ring(double center, float low, float high);
    double band_mass() const;
    Candidate settle(double center, double target);
    Ring nearest(double center, double share, double total);
    std::int32_t choose_ordinary(double u, StepResult& result);
    std::int32_t choose_weighed(const Ring& ring, float least, double u, StepResult& result);
    void restrict_chunks(float least);

    // Clearing bits (sampler_wide.cpp).
    void cut(float least);
    void clear(std::int32_t token_id);
    void keep_ring(const Ring& ring);
    void keep_sigma_wide();
    double logit_of(double weight) const;
    Ring ring_of(Step step);
    double mean_above(double total);
    void keep_xtc_wide();
    bool heat_wide();
    bool step_wide(Step step, const Random& random, double mu);
    std::int32_t choose_wide(std::size_t next, const Random& random, double mu,
                             StepResult& result);

    std::int32_t greatest();
    std::int32_t choose(const Random& random, double mu, StepResult& result);

    std::size_t n_vocab_;
    std::size_t n_chunks_;
    SamplingSettings settings_;
    bool greedy_;    // the greatest logit is all that can come out
    bool ordinary_;  // nothing but a fixed temperature, top-p, min-p, in that order
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
    std::vector<LogitEdit> edits_;
    std::vector<std::int32_t> counts_;        // [n_vocab], all 0 between steps
    std::vector<Patch> patches_;              // by id; only allowed tokens
    std::vector<float> lane_max_;             // [n_chunks * kLanes] working maxima, padded
    std::vector<float> chunk_max_;            // [n_chunks]
    float raw_max_ = 0;                       // over the whole vocabulary
    float raw_allowed_max_ = 0;               // over the allowed tokens
    float max_ = 0;                           // of the working logits
    std::int64_t n_left_ = 0;                 // tokens that may still come
    bool infinite_ = false;                   // max_ was +inf: those count 0, all else -inf
    double heat_ = 1;                         // the temperature so far
    bool measured_ = false;                   // the two sums below are there
    double allowed_mass_ = 0;
    double forbidden_mass_ = 0;
    Weighing how_;                            // of weights_
    std::vector<float> values_;               // [kChunk]: the chunk that load() made
    std::vector<float> weights_;              // [n_chunks * kChunk], after weigh()
    std::vector<double> chunk_mass_;
    std::vector<double> chunk_near_;          // after list_ring()
    float heavy_ = 0;                         // after list_ring(): weights at both ends
    float light_ = 0;
    float reach_ = 0;                         // after nearest(): nothing is kept from here on
    std::vector<float> sample_nearness_;      // after take_sample(): distances, negative,
    std::vector<float> sample_masses_;        //   the mass that each stands for,
    std::vector<float> sample_squares_;       //   and its square, where it stands for others
    std::vector<Candidate> listed_;           // ascending id
    std::vector<Candidate> scratch_;
    std::vector<Banded> band_;                // after list_ring()
    std::vector<std::int32_t> dropped_;       // after settle()
    std::vector<float> group_scratch_;
    std::vector<std::int32_t> positions_;
};

}  // namespace constrain
