#include "sampler.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kFarBelow = 40;      // e^-87, where weights vanish, is e^-47 of e^-40
constexpr std::int64_t kFewAllowed = 2048;  // so many are listed, without weights of all

std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

// 1 / temperature, finite; 0 when greedy.
float inverse(double temperature) {
    return temperature > 0 ? static_cast<float>(std::min<double>(1 / temperature, FLT_MAX)) : 0;
}

}  // namespace

double uniform(std::uint64_t key, std::uint64_t counter) {
    const std::uint64_t bits = mix(key + (counter + 1) * 0x9E3779B97F4A7C15U);
    return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

TokenSampler::TokenSampler(std::size_t n_vocab, const SamplingSettings& settings,
                           std::vector<LogitEdit> bias)
    : n_vocab_(n_vocab),
      n_chunks_((n_vocab + kChunk - 1) / kChunk),
      settings_(settings),
      bias_(std::move(bias)),
      scale_(inverse(settings.temperature)),
      tail_logits_(kChunk),
      tail_words_(kChunkWords),
      lane_max_(n_chunks_ * kLanes),
      chunk_max_(n_chunks_),
      values_(kChunk),
      weights_(n_chunks_ * kChunk),
      chunk_mass_(n_chunks_),
      chunk_top_(n_chunks_),
      positions_(kChunk) {
    make_patches({});  // ids out of range are found now
}

// ---- reading the input ----

const float* TokenSampler::chunk_logits(std::size_t chunk) const {
    return (chunk + 1) * kChunk <= n_vocab_ ? logits_ + chunk * kChunk : tail_logits_.data();
}

const std::uint32_t* TokenSampler::chunk_words(std::size_t chunk) const {
    return (chunk + 1) * kChunk <= n_vocab_ ? words_ + chunk * kChunkWords : tail_words_.data();
}

bool TokenSampler::allowed(std::size_t token_id) const {
    return ((words_[token_id / 32] >> (token_id % 32)) & 1U) != 0;
}

void TokenSampler::bind(const float* logits, const std::uint32_t* words) {
    logits_ = logits;
    words_ = words;
    const std::size_t whole = n_vocab_ / kChunk * kChunk;
    std::fill(tail_logits_.begin(), tail_logits_.end(), -kInfinity);
    std::copy(logits + whole, logits + n_vocab_, tail_logits_.begin());
    std::fill(tail_words_.begin(), tail_words_.end(), 0U);
    std::copy(words + whole / 32, words + (n_vocab_ + 31) / 32, tail_words_.begin());
    if (n_vocab_ % 32 != 0) {
        tail_words_[(n_vocab_ - whole) / 32] &= (1U << (n_vocab_ % 32)) - 1;
    }
}

float TokenSampler::patched(const LogitEdit* first, const LogitEdit* last) const {
    float value = logits_[first->token_id];
    std::int32_t count = 0;
    for (const LogitEdit* edit = first; edit != last; ++edit) {
        value += edit->seen != 0 ? 0.0F : edit->add;
        count += edit->seen;
    }
    if (count > 0) {
        value = value <= 0 ? value * settings_.repeat_penalty : value / settings_.repeat_penalty;
        value -= static_cast<float>(count) * settings_.frequency_penalty +
                 settings_.presence_penalty;
    }
    return value;
}

void TokenSampler::make_patches(std::span<const LogitEdit> edits) {
    edits_.assign(bias_.begin(), bias_.end());
    edits_.insert(edits_.end(), edits.begin(), edits.end());
    for (const LogitEdit& edit : edits_) {
        if (edit.token_id < 0 || static_cast<std::size_t>(edit.token_id) >= n_vocab_) {
            throw std::out_of_range("token id outside the vocabulary");
        }
    }
    patches_.clear();
    if (logits_ == nullptr) {
        return;
    }
    // Stable: addends of one token are added in the order they were given.
    std::stable_sort(edits_.begin(), edits_.end(), [](const LogitEdit& a, const LogitEdit& b) {
        return a.token_id < b.token_id;
    });
    for (std::size_t i = 0; i < edits_.size();) {
        std::size_t end = i + 1;
        while (end < edits_.size() && edits_[end].token_id == edits_[i].token_id) {
            ++end;
        }
        if (allowed(static_cast<std::size_t>(edits_[i].token_id))) {
            patches_.push_back({edits_[i].token_id, patched(&edits_[i], edits_.data() + end)});
        }
        i = end;
    }
}

// values_ = the working logits of a chunk: masked, patched; a +inf is 0 and all else -inf.
void TokenSampler::load(std::size_t chunk) {
    vector_loops().mask(chunk_logits(chunk), chunk_words(chunk), values_.data());
    if (infinite_) {
        for (float& value : values_) {
            value = value == kInfinity ? 0 : -kInfinity;
        }
    }
    const auto base = static_cast<std::int32_t>(chunk * kChunk);
    auto patch = std::lower_bound(patches_.begin(), patches_.end(), base,
                                  [](const Patch& p, std::int32_t id) { return p.token_id < id; });
    for (; patch != patches_.end() && patch->token_id < base + static_cast<int>(kChunk); ++patch) {
        values_[static_cast<std::size_t>(patch->token_id - base)] = patch->value;
    }
}

// The working logit of one allowed token.
float TokenSampler::value_of(std::int32_t token_id) const {
    const auto patch =
        std::lower_bound(patches_.begin(), patches_.end(), token_id,
                         [](const Patch& p, std::int32_t id) { return p.token_id < id; });
    if (patch != patches_.end() && patch->token_id == token_id) {
        return patch->value;
    }
    const float value = logits_[token_id];
    return infinite_ ? (value == kInfinity ? 0 : -kInfinity) : value;
}

StepStatus TokenSampler::scan(std::int64_t& n_allowed) {
    n_allowed = 0;
    raw_max_ = raw_allowed_max_ = -kInfinity;
    bool has_nan = false;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        const std::uint32_t* words = chunk_words(chunk);
        for (std::size_t i = 0; i < kChunkWords; ++i) {
            n_allowed += std::popcount(words[i]);
        }
        const ChunkMaxima maxima =
            vector_loops().maxima(chunk_logits(chunk), words, &lane_max_[chunk * kLanes]);
        has_nan = has_nan || maxima.has_nan;
        raw_max_ = std::max(raw_max_, maxima.all);
        raw_allowed_max_ = std::max(raw_allowed_max_, maxima.allowed);
        chunk_max_[chunk] = maxima.allowed;
    }
    if (n_allowed == 0) {
        return StepStatus::empty_mask;
    }
    return has_nan ? StepStatus::nan_logit : StepStatus::ok;
}

// Maxima of the working logits, from the raw ones; status of what is left.
StepStatus TokenSampler::apply_patches(std::span<const LogitEdit> edits) {
    infinite_ = false;
    make_patches(edits);
    for (std::size_t i = 0; i < patches_.size(); ++i) {
        if (std::isnan(patches_[i].value)) {
            return StepStatus::nan_logit;
        }
        const std::size_t chunk = static_cast<std::size_t>(patches_[i].token_id) / kChunk;
        if (i + 1 < patches_.size() &&
            static_cast<std::size_t>(patches_[i + 1].token_id) / kChunk == chunk) {
            continue;
        }
        load(chunk);
        chunk_max_[chunk] = vector_loops()
                                .maxima(values_.data(), chunk_words(chunk),
                                        &lane_max_[chunk * kLanes])
                                .allowed;
    }
    max_ = *std::max_element(chunk_max_.begin(), chunk_max_.end());
    if (max_ == kInfinity) {
        const auto flatten = [](float& value) { value = value == kInfinity ? 0 : -kInfinity; };
        infinite_ = true;
        max_ = 0;
        std::for_each(chunk_max_.begin(), chunk_max_.end(), flatten);
        std::for_each(lane_max_.begin(), lane_max_.end(), flatten);
        for (Patch& patch : patches_) {
            flatten(patch.value);
        }
    }
    return max_ == -kInfinity ? StepStatus::all_impossible : StepStatus::ok;
}

// ---- the model's own log-probabilities ----

// log-sum-exp of the allowed raw logits minus their maximum. Differences from a maximum are
// taken first everywhere: added to 1e38, a logarithm would be lost.
double TokenSampler::log_allowed() {
    double mass = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        vector_loops().mask(chunk_logits(chunk), chunk_words(chunk), values_.data());
        mass += vector_loops().weigh(values_.data(), raw_allowed_max_, 1, values_.data()).mass;
    }
    return std::log(mass);
}

// A logit of +inf: the tokens that have it share all the mass.
void TokenSampler::measure_infinite(StepResult& result) {
    double n_all = 0;
    double n_allowed = 0;
    for (std::size_t i = 0; i < n_vocab_; ++i) {
        const bool infinite = logits_[i] == kInfinity;
        n_all += infinite ? 1 : 0;
        n_allowed += infinite && allowed(i) ? 1 : 0;
    }
    const double logit = logits_[result.token_id];
    result.logprob = logit == kInfinity ? -std::log(n_all) : -kInfinity;
    result.removed_mass = 1 - n_allowed / n_all;
    if (raw_allowed_max_ == kInfinity) {
        result.masked_logprob = logit == kInfinity ? -std::log(n_allowed) : -kInfinity;
    } else {
        result.masked_logprob = logit - raw_allowed_max_ - log_allowed();
    }
}

void TokenSampler::measure(StepResult& result) {
    if (raw_max_ == kInfinity) {
        measure_infinite(result);
        return;
    }
    double allowed = 0;
    double forbidden = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        const ChunkMass mass =
            vector_loops().masses(chunk_logits(chunk), chunk_words(chunk), raw_max_);
        allowed += mass.allowed;
        forbidden += mass.forbidden;
    }
    const double logit = logits_[result.token_id];
    const double max = raw_max_;
    const double allowed_max = raw_allowed_max_;
    result.logprob = logit - max - std::log(allowed + forbidden);
    result.removed_mass = forbidden / (allowed + forbidden);
    result.masked_logprob = allowed_max >= max - kFarBelow ? logit - max - std::log(allowed)
                                                           : logit - allowed_max - log_allowed();
}

// ---- the step ----

std::int32_t TokenSampler::greatest() {
    const auto chunk = static_cast<std::size_t>(
        std::find(chunk_max_.begin(), chunk_max_.end(), max_) - chunk_max_.begin());
    load(chunk);
    return static_cast<std::int32_t>(chunk * kChunk) +
           static_cast<std::int32_t>(std::find(values_.begin(), values_.end(), max_) -
                                     values_.begin());
}

// What is left of all allowed tokens by top-p and min-p.
TokenSampler::Cut TokenSampler::weighed_cut() {
    const Cut min_p = min_p_cut();
    if (settings_.top_p >= 1) {
        weigh(min_p.value);
        return min_p;
    }
    const Cut top_p = top_p_cut(weigh(-kInfinity));
    return min_p.value > top_p.value ? min_p : top_p;
}

std::int32_t TokenSampler::choose(double u, StepResult& result) {
    if (settings_.top_k > 0 && settings_.top_k < result.n_allowed) {
        list_top_k(static_cast<std::size_t>(settings_.top_k));
        truncate_list();
    } else if (result.n_allowed <= kFewAllowed) {
        list_above(-kInfinity);
        truncate_list();
    } else {
        const Cut cut = weighed_cut();
        if (settings_.typical_p >= 1) {
            return choose_weighed(cut, u, result);
        }
        list_above(cut.value);
        std::erase_if(listed_, [cut](const Candidate& item) {
            return !cut.keeps(item.value, item.token_id);
        });
        for (Candidate& item : listed_) {
            item.mass = mass_of(item.value);
        }
    }
    if (settings_.typical_p < 1) {
        keep_typical();
    }
    return choose_listed(u, result);
}

StepResult TokenSampler::sample(const float* logits, const std::uint32_t* words,
                                std::span<const LogitEdit> edits, std::uint64_t key,
                                std::uint64_t counter) {
    StepResult result;
    bind(logits, words);
    result.status = scan(result.n_allowed);
    if (result.status == StepStatus::ok) {
        result.status = apply_patches(edits);
    }
    if (result.status == StepStatus::ok) {
        result.drawn = settings_.temperature > 0 && result.n_allowed > 1;
        result.token_id = result.drawn ? choose(uniform(key, counter), result) : greatest();
        measure(result);
    }
    logits_ = nullptr;
    words_ = nullptr;
    return result;
}

}  // namespace constrain
