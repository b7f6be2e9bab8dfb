// One sampling step over masked logits: logits and mask in, one token out.
//
// Idea: never sort the vocabulary. A first pass finds the maxima, a second the model's own
// log-sum-exp and the mass that the mask removes. top-k, top-p and min-p each keep a prefix of
// the tokens ordered by (logit descending, id ascending), so all three together are one cut:
// the last token kept. top-k finds its cut among the tokens above the k-th greatest maximum of
// small groups. top-p finds it from sums at four fixed levels, then from a sample of one token
// in sixteen, then exactly within the narrow band that is left. Drawing walks sums of chunks,
// then one chunk. What is slow is rare: typical-p lists what is left of the others.
//
// The order of a step: logit bias, the automaton's bias, penalties, mask, temperature, top-k,
// top-p, min-p, typical-p, draw (constrain/sampling/processors.py has the formulas).
//
// Cost: O(n_vocab), two or three passes of vector loops; 128 256 tokens: see
// tests/benchmarks/sampling.py.
// Random numbers: SplitMix64 used as a counter (Steele, Lea and Flood, Fast splittable
// pseudorandom number generators, OOPSLA 2014): the i-th draw is mix(key + i * gamma).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sampler_vectors.h"

namespace constrain {

// Values are checked by the Python side (constrain/sampling/settings.py).
struct SamplingSettings {
    double temperature = 1;  // 0: greedy
    std::int64_t top_k = 0;  // 0: off
    double top_p = 1;
    double min_p = 0;
    double typical_p = 1;
    float repeat_penalty = 1;
    float frequency_penalty = 0;
    float presence_penalty = 0;
};

// An addend to one token's logit, or (add = 0, seen = 1) one occurrence in the history.
struct LogitEdit {
    std::int32_t token_id;
    float add;
    std::int32_t seen;
};

enum class StepStatus : std::int32_t { ok, empty_mask, nan_logit, all_impossible };

struct StepResult {
    StepStatus status = StepStatus::ok;
    std::int32_t token_id = -1;
    double logprob = 0;           // the model's own, over the whole vocabulary
    double masked_logprob = 0;    // the same logits, renormalized over the allowed tokens
    double sampling_logprob = 0;  // under the distribution it was drawn from
    double removed_mass = 0;      // 1 - the model's probability of all allowed tokens
    std::int64_t n_allowed = 0;
    bool drawn = false;  // a random number was used
};

// The i-th number of the stream `key`, uniform in [0, 1) with 53 bits.
double uniform(std::uint64_t key, std::uint64_t counter);

class TokenSampler {
   public:
    // `bias` is added at every step. Throws std::out_of_range for an id outside the vocabulary.
    TokenSampler(std::size_t n_vocab, const SamplingSettings& settings,
                 std::vector<LogitEdit> bias);

    // logits: float32[n_vocab]; words: uint32[(n_vocab + 31) / 32], bits past n_vocab ignored;
    // edits: this step's biases, then its history. Nothing is kept from one call to the next.
    // Throws std::out_of_range for an id outside the vocabulary.
    StepResult sample(const float* logits, const std::uint32_t* words,
                      std::span<const LogitEdit> edits, std::uint64_t key, std::uint64_t counter);

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
        double mass;   // e^((value - max) / temperature)
    };
    // The last token kept, in the order (value descending, id ascending).
    struct Cut {
        float value = -std::numeric_limits<float>::infinity();
        std::int32_t token_id = std::numeric_limits<std::int32_t>::max();
        bool keeps(float v, std::int32_t id) const {
            return v > value || (v == value && id <= token_id);
        }
    };

    // Reading the input.
    const float* chunk_logits(std::size_t chunk) const;
    const std::uint32_t* chunk_words(std::size_t chunk) const;
    bool allowed(std::size_t token_id) const;
    void bind(const float* logits, const std::uint32_t* words);
    float patched(const LogitEdit* first, const LogitEdit* last) const;
    void make_patches(std::span<const LogitEdit> edits);
    void load(std::size_t chunk);
    float value_of(std::int32_t token_id) const;
    StepStatus scan(std::int64_t& n_allowed);
    StepStatus apply_patches(std::span<const LogitEdit> edits);

    // The model's own log-probabilities.
    double log_allowed();
    void measure_infinite(StepResult& result);
    void measure(StepResult& result);

    // Truncation over a list of candidates.
    static bool before(const Candidate& a, const Candidate& b);
    static Candidate prefix_end(std::vector<Candidate>& items, double target);
    double mass_of(float value) const;
    double log_weight(float value) const;
    void list_above(float least);
    void list_top_k(std::size_t k);
    void keep(const Candidate& end);
    void truncate_list();
    void keep_typical();
    std::int32_t choose_listed(double u, StepResult& result) const;

    // Truncation over the weights of all allowed tokens.
    double weigh(float least);
    void narrow(double target, double above, double inside, float& low, float& high) const;
    double list_band(float low, float high);
    double band_mass() const;
    Cut top_p_cut(double total);
    Cut min_p_cut() const;
    float kept_mass(std::size_t chunk, const Cut& cut);
    std::int32_t choose_weighed(const Cut& cut, double u, StepResult& result);

    Cut weighed_cut();
    std::int32_t greatest();
    std::int32_t choose(double u, StepResult& result);

    std::size_t n_vocab_;
    std::size_t n_chunks_;
    SamplingSettings settings_;
    std::vector<LogitEdit> bias_;
    float scale_;  // 1 / temperature, finite

    const float* logits_ = nullptr;
    const std::uint32_t* words_ = nullptr;
    std::vector<float> tail_logits_;          // the last chunk, padded
    std::vector<std::uint32_t> tail_words_;
    std::vector<LogitEdit> edits_;
    std::vector<Patch> patches_;              // by id; only allowed tokens
    std::vector<float> lane_max_;             // [n_chunks * kLanes] working maxima
    std::vector<float> chunk_max_;            // [n_chunks]
    float raw_max_ = 0;                       // over the whole vocabulary
    float raw_allowed_max_ = 0;               // over the allowed tokens
    float max_ = 0;                           // of the working logits
    bool infinite_ = false;                   // max_ was +inf: those count 0, all else -inf
    std::vector<float> values_;               // [kChunk]: the chunk that load() made
    std::vector<float> weights_;              // [n_chunks * kChunk], after weigh()
    std::vector<float> chunk_mass_;
    std::vector<float> chunk_top_;
    std::array<double, kLevels> above_{};
    std::vector<Candidate> listed_;           // ascending id
    std::vector<Candidate> scratch_;
    std::vector<float> group_scratch_;
    std::vector<std::int32_t> positions_;
};

}  // namespace constrain
