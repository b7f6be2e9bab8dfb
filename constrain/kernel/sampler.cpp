#include "sampler.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int64_t kFewAllowed = 2048;  // so many are listed, without weights of all
constexpr std::uint64_t kXtcStream = 0xD1B54A32D192ED03U;  // apart from the stream of draws

std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

// Whether temperature 0 comes before anything that could drop the greatest logit.
bool is_greedy(const SamplingSettings& settings) {
    if (settings.temperature > 0 || settings.dynamic_range > 0) {
        return false;
    }
    const auto drops = [](Step step) { return step == Step::typical_p || step == Step::xtc; };
    const auto temperature =
        std::find(settings.steps.begin(), settings.steps.end(), Step::temperature);
    return std::none_of(settings.steps.begin(), temperature, drops);
}

bool is_ordinary(const SamplingSettings& settings) {
    std::vector<Step> rest;
    for (const Step step : {Step::temperature, Step::top_p, Step::min_p}) {
        if (std::find(settings.steps.begin(), settings.steps.end(), step) !=
            settings.steps.end()) {
            rest.push_back(step);
        }
    }
    return rest == settings.steps && settings.dynamic_range == 0;
}

bool counts_tokens(const SamplingSettings& settings) {
    const auto& steps = settings.steps;
    return settings.dynamic_range > 0 ||
           std::find(steps.begin(), steps.end(), Step::mirostat_1) != steps.end();
}

std::vector<std::uint32_t> as_words(std::size_t n_chunks, std::span<const std::int32_t> ids) {
    std::vector<std::uint32_t> words(ids.empty() ? 0 : n_chunks * kChunkWords);
    for (const std::int32_t id : ids) {
        words[static_cast<std::size_t>(id) / 32] |= 1U << (id % 32);
    }
    return words;
}

}  // namespace

double uniform(std::uint64_t key, std::uint64_t counter) {
    const std::uint64_t bits = mix(key + (counter + 1) * 0x9E3779B97F4A7C15U);
    return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

TokenSampler::TokenSampler(std::size_t n_vocab, SamplingSettings settings,
                           std::vector<LogitEdit> bias, std::span<const std::int32_t> banned,
                           std::span<const std::int32_t> dry_spared)
    : n_vocab_(n_vocab),
      n_chunks_((n_vocab + kChunk - 1) / kChunk),
      settings_(std::move(settings)),
      greedy_(is_greedy(settings_)),
      ordinary_(is_ordinary(settings_)),
      needs_count_(counts_tokens(settings_)),
      bias_(std::move(bias)),
      tail_logits_(kChunk),
      tail_words_(kChunkWords),
      lane_max_((n_chunks_ * kLanes + kChunk - 1) / kChunk * kChunk, -kInfinity),
      chunk_max_(n_chunks_),
      values_(kChunk),
      chunk_mass_(n_chunks_),
      chunk_near_(n_chunks_),
      positions_(kChunk) {
    for (const LogitEdit& edit : bias_) {
        check_id(edit.token_id);
    }
    std::for_each(banned.begin(), banned.end(), [this](std::int32_t id) { check_id(id); });
    std::for_each(dry_spared.begin(), dry_spared.end(),
                  [this](std::int32_t id) { check_id(id); });
    banned_ = as_words(n_chunks_, banned);
    dry_spared_ = as_words(n_chunks_, dry_spared);
    if (!greedy_) {
        weights_.resize(n_chunks_ * kChunk);
    }
}

// ---- reading the input ----

const float* TokenSampler::chunk_logits(std::size_t chunk) const {
    return (chunk + 1) * kChunk <= n_vocab_ ? logits_ + chunk * kChunk : tail_logits_.data();
}

const std::uint32_t* TokenSampler::chunk_mask(std::size_t chunk) const {
    return (chunk + 1) * kChunk <= n_vocab_ ? words_ + chunk * kChunkWords : tail_words_.data();
}

const std::uint32_t* TokenSampler::chunk_words(std::size_t chunk) const {
    return owned_ ? &own_[chunk * kChunkWords] : chunk_mask(chunk);
}

void TokenSampler::check_id(std::int32_t token_id) const {
    if (token_id < 0 || static_cast<std::size_t>(token_id) >= n_vocab_) {
        throw std::out_of_range("token id outside the vocabulary");
    }
}

void TokenSampler::bind(const float* logits, const std::uint32_t* words) {
    logits_ = logits;
    words_ = words;
    owned_ = false;
    measured_ = false;
    heat_ = 1;
    const std::size_t whole = n_vocab_ / kChunk * kChunk;
    std::fill(tail_logits_.begin(), tail_logits_.end(), -kInfinity);
    std::copy(logits + whole, logits + n_vocab_, tail_logits_.begin());
    std::fill(tail_words_.begin(), tail_words_.end(), 0U);
    std::copy(words + whole / 32, words + (n_vocab_ + 31) / 32, tail_words_.begin());
    if (n_vocab_ % 32 != 0) {
        tail_words_[(n_vocab_ - whole) / 32] &= (1U << (n_vocab_ % 32)) - 1;
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
        const auto i = static_cast<std::size_t>(patch->token_id - base);
        if ((chunk_words(chunk)[i / 32] >> (i % 32) & 1U) != 0) {
            values_[i] = patch->value;
        }
    }
}

bool TokenSampler::has_patch(std::size_t chunk) const {
    const auto base = static_cast<std::int32_t>(chunk * kChunk);
    const auto patch =
        std::lower_bound(patches_.begin(), patches_.end(), base,
                         [](const Patch& p, std::int32_t id) { return p.token_id < id; });
    return patch != patches_.end() && patch->token_id < base + static_cast<int>(kChunk);
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
        const std::uint32_t* words = chunk_mask(chunk);
        const ChunkMaxima maxima =
            vector_loops().maxima(chunk_logits(chunk), words, &lane_max_[chunk * kLanes]);
        n_allowed += maxima.n_allowed;
        has_nan = has_nan || maxima.has_nan;
        raw_max_ = std::max(raw_max_, maxima.all);
        raw_allowed_max_ = std::max(raw_allowed_max_, maxima.allowed);
        chunk_max_[chunk] = maxima.allowed;
    }
    n_left_ = n_allowed;
    if (n_allowed == 0) {
        return StepStatus::empty_mask;
    }
    return has_nan ? StepStatus::nan_logit : StepStatus::ok;
}

// Maxima of the working logits, from the raw ones; status of what is left.
StepStatus TokenSampler::apply_patches() {
    infinite_ = false;
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

// Bans and patches. A ban that leaves nothing yields, or is the step's failure.
StepStatus TokenSampler::prepare(const StepInput& input) {
    const bool banned = ban(input.banned);
    make_patches(input);
    StepStatus status = n_left_ > 0 ? apply_patches() : StepStatus::all_impossible;
    if (!banned || status != StepStatus::all_impossible) {
        return status;
    }
    if (!settings_.bans_yield) {
        return StepStatus::all_banned;
    }
    std::int64_t n_allowed = 0;
    owned_ = false;
    status = scan(n_allowed);
    if (status == StepStatus::ok) {
        make_patches(input);
        status = apply_patches();
    }
    return status;
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

std::int32_t TokenSampler::choose(const Random& random, double mu, StepResult& result) {
    const std::vector<Step>& steps = settings_.steps;
    std::size_t next = 0;
    if (n_left_ <= kFewAllowed) {
        list_above(-kInfinity);
        return finish_listed(next, random, mu, result);
    }
    if (ordinary_) {
        return choose_ordinary(random.draw, result);
    }
    if (!steps.empty() && steps[0] == Step::temperature && settings_.temperature > 0 &&
        settings_.dynamic_range == 0) {
        heat_ = settings_.temperature;
        ++next;
    }
    if (next < steps.size() && steps[next] == Step::top_k && settings_.top_k < n_left_) {
        list_top_k(static_cast<std::size_t>(settings_.top_k));
        return finish_listed(next + 1, random, mu, result);
    }
    return choose_wide(next, random, mu, result);
}

StepResult TokenSampler::sample(const float* logits, const std::uint32_t* words,
                                const StepInput& input) {
    StepResult result;
    bind(logits, words);
    result.status = scan(result.n_allowed);
    if (result.status == StepStatus::ok) {
        result.status = prepare(input);
    }
    if (result.status == StepStatus::ok) {
        result.drawn = !greedy_ && n_left_ > 1;
        if (result.drawn) {
            const Random random{uniform(input.key, input.counter),
                                uniform(input.key ^ kXtcStream, input.counter)};
            result.token_id = choose(random, input.mu, result);
        } else {
            result.token_id = greatest();
        }
        measure(result);
    }
    logits_ = nullptr;
    words_ = nullptr;
    return result;
}

}  // namespace constrain
