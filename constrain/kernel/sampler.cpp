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
      needs_count_(counts_tokens(settings_)),
      bias_(std::move(bias)),
      tail_logits_(kChunk),
      tail_words_(kChunkWords),
      patch_start_(n_chunks_ + 1),
      patched_(n_chunks_ * kChunkWords),
      plain_(kChunkWords),
      lane_max_((n_chunks_ * kLanes + kChunk - 1) / kChunk * kChunk, -kInfinity),
      chunk_max_(n_chunks_),
      chunk_mass_(n_chunks_),
      chunk_near_(n_chunks_),
      ring_bits_(n_chunks_ * kChunkWords),
      values_(kChunk),
      masses_(kChunk),
      band_start_(n_chunks_ + 1),
      positions_(kChunk) {
    for (const LogitEdit& edit : bias_) {
        check_id(edit.token_id);
    }
    std::for_each(banned.begin(), banned.end(), [this](std::int32_t id) { check_id(id); });
    std::for_each(dry_spared.begin(), dry_spared.end(),
                  [this](std::int32_t id) { check_id(id); });
    std::stable_sort(bias_.begin(), bias_.end(), [](const LogitEdit& a, const LogitEdit& b) {
        return a.token_id < b.token_id;
    });
    banned_ = as_words(n_chunks_, banned);
    dry_spared_ = as_words(n_chunks_, dry_spared);
}

// ---- reading the input ----

void TokenSampler::check_id(std::int32_t token_id) const {
    if (token_id < 0 || static_cast<std::size_t>(token_id) >= n_vocab_) {
        throw std::out_of_range("token id outside the vocabulary");
    }
}

void TokenSampler::bind(const float* logits, const std::uint32_t* words) {
    logits_ = logits;
    words_ = words;
    owned_ = infinite_ = measured_ = weighed_ = false;
    heat_ = 1;
    floor_ = -FLT_MAX;
    last_ring_ = {};
    forget_patches();
    const std::size_t whole = n_vocab_ / kChunk * kChunk;
    std::fill(tail_logits_.begin(), tail_logits_.end(), -kInfinity);
    std::copy(logits + whole, logits + n_vocab_, tail_logits_.begin());
    std::fill(tail_words_.begin(), tail_words_.end(), 0U);
    std::copy(words + whole / 32, words + (n_vocab_ + 31) / 32, tail_words_.begin());
    if (n_vocab_ % 32 != 0) {
        tail_words_[(n_vocab_ - whole) / 32] &= (1U << (n_vocab_ % 32)) - 1;
    }
}

// values_ = the working logits of a chunk: -inf where a token is out.
void TokenSampler::load(std::size_t chunk) {
    vector_loops().mask(chunk_values(chunk), chunk_words(chunk), values_.data());
    for (const Patch& patch : patches_of(chunk)) {
        if (is_left(patch.token_id)) {
            values_[static_cast<std::size_t>(patch.token_id) % kChunk] = patch.value;
        }
    }
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
        raw_max_ = std::max({raw_max_, maxima.allowed, maxima.forbidden});
        raw_allowed_max_ = std::max(raw_allowed_max_, maxima.allowed);
        chunk_max_[chunk] = maxima.allowed;
    }
    n_left_ = n_allowed;
    if (n_allowed == 0) {
        return StepStatus::empty_mask;
    }
    return has_nan ? StepStatus::nan_logit : StepStatus::ok;
}

// The maxima of one chunk anew.
void TokenSampler::renew(std::size_t chunk) {
    load(chunk);
    chunk_max_[chunk] = vector_loops()
                            .maxima(values_.data(), chunk_words(chunk),
                                    &lane_max_[chunk * kLanes])
                            .allowed;
}

// The maxima of one chunk after its patches: a raised logit may be one, a lowered one was.
void TokenSampler::raise_maxima(std::size_t chunk) {
    float* lanes = &lane_max_[chunk * kLanes];
    bool lowered = false;
    for (const Patch& patch : patches_of(chunk)) {
        const auto at = static_cast<std::size_t>(patch.token_id);
        float& top = lanes[at % kLanes];
        lowered = lowered || (logits_[at] == top && patch.value < top);
        top = std::max(top, patch.value);
        chunk_max_[chunk] = std::max(chunk_max_[chunk], patch.value);
    }
    if (lowered) {
        renew(chunk);
    }
}

// A greatest logit of +inf: those count 0, all others -inf.
void TokenSampler::flatten() {
    const auto flat = [](float value) { return value == kInfinity ? 0 : -kInfinity; };
    flat_.resize(n_chunks_ * kChunk);
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        const float* logits = chunk_logits(chunk);
        std::transform(logits, logits + kChunk, &flat_[chunk * kChunk], flat);
    }
    infinite_ = true;
    max_ = 0;
    std::transform(chunk_max_.begin(), chunk_max_.end(), chunk_max_.begin(), flat);
    std::transform(lane_max_.begin(), lane_max_.end(), lane_max_.begin(), flat);
    for (Patch& patch : patches_) {
        patch.value = flat(patch.value);
    }
}

// Maxima of the working logits, from the raw ones; status of what is left.
StepStatus TokenSampler::apply_patches() {
    for (std::size_t chunk = 0; !patches_.empty() && chunk < n_chunks_; ++chunk) {
        const auto is_nan = [](const Patch& patch) { return std::isnan(patch.value); };
        const auto patches = patches_of(chunk);
        if (std::any_of(patches.begin(), patches.end(), is_nan)) {
            return StepStatus::nan_logit;
        }
        raise_maxima(chunk);
    }
    max_ = *std::max_element(chunk_max_.begin(), chunk_max_.end());
    if (max_ == kInfinity) {
        flatten();
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
    if (n_left_ <= kFewAllowed) {
        list_above(-kInfinity);
        return finish_listed(0, random, mu, result);
    }
    return choose_wide(random, mu, result);
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
