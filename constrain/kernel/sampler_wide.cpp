// Steps over too many tokens to list: each clears bits of a copy of the mask.
#include "sampler.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int64_t kFewLeft = 2048;
constexpr std::size_t kZipfTokens = 100;  // as in sampler_list.cpp: all that mirostat 1 looks at

}  // namespace

void TokenSampler::clear(std::int32_t token_id) {
    own_[static_cast<std::size_t>(token_id) / 32] &= ~(1U << (token_id % 32));
}

// Keeps working logits of `least` or more, and none of -inf.
void TokenSampler::cut(float least) {
    least = std::max(least, -FLT_MAX);
    own_words();
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        std::uint32_t* words = &own_[chunk * kChunkWords];
        if (chunk_max_[chunk] < least) {
            std::fill_n(words, kChunkWords, 0U);
        } else {
            load(chunk);
            vector_loops().within(values_.data(), least, kInfinity, words);
        }
    }
    rescan();
}

// Keeps what the ring does, which nearest() found last; the comparisons are those of
// list_ring(), so that no token is on two sides.
void TokenSampler::keep_ring(const Ring& ring) {
    const bool by_weight = ring.center == max_;
    own_words();
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        std::uint32_t* words = &own_[chunk * kChunkWords];
        if (chunk_max_[chunk] == -kInfinity) {
            std::fill_n(words, kChunkWords, 0U);
        } else if (by_weight) {
            vector_loops().within(&weights_[chunk * kChunk], light_, kInfinity, words);
        } else {
            load(chunk);
            vector_loops().inside(values_.data(), static_cast<float>(ring.center), reach_, words);
        }
    }
    std::for_each(dropped_.begin(), dropped_.end(), [this](std::int32_t id) { clear(id); });
    rescan();
}

void TokenSampler::keep_sigma_wide() {
    ChunkSpread all;
    const auto add = [&](float center) {
        all = {};
        for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
            load(chunk);
            const ChunkSpread part = vector_loops().spread(values_.data(), center);
            all.n += part.n;
            all.sum += part.sum;
            all.squares += part.squares;
        }
    };
    add(max_);
    const double mean = max_ + all.sum / all.n;
    add(static_cast<float>(mean));
    const double shift = all.sum / all.n;
    const double sigma = std::sqrt(std::max(0.0, all.squares / all.n - shift * shift));
    const double least = max_ - settings_.top_n_sigma * sigma;
    cut(std::isfinite(least) ? static_cast<float>(std::max<double>(least, -FLT_MAX)) : -FLT_MAX);
}

// The mean of the weighed logits less how_.max, after weigh(), whose sum is `total`.
double TokenSampler::mean_above(double total) {
    double moment = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        if (chunk_mass_[chunk] > 0) {
            load(chunk);
            moment += vector_loops().moment(values_.data(), &weights_[chunk * kChunk], how_.max);
        }
    }
    return moment / total;
}

// The logit that has this weight.
double TokenSampler::logit_of(double weight) const {
    return how_.max + heat_ * std::log(weight);
}

// What top-p or typical-p keeps; chunk_mass_ is then its mass. Surprise less entropy is (mean
// logit - logit) / temperature: typical tokens are near the mean.
TokenSampler::Ring TokenSampler::ring_of(Step step) {
    const double total = weigh_measuring(-kInfinity);
    if (step == Step::top_p) {
        return nearest(max_, settings_.top_p, total);
    }
    return nearest(how_.max + mean_above(total), settings_.typical_p, total);
}

// Of the tokens with the threshold's probability or more, only the least probable one stays.
void TokenSampler::keep_xtc_wide() {
    const double least = logit_of(settings_.xtc_threshold * weigh_measuring(-kInfinity));
    if (least > max_) {
        return;
    }
    list_above(static_cast<float>(std::max<double>(least, -FLT_MAX)));
    const auto last = std::max_element(listed_.begin(), listed_.end(), before);
    own_words();
    for (const Candidate& item : listed_) {
        if (before(item, *last)) {
            clear(item.token_id);
        }
    }
    rescan();
}

// Whether only the greatest logit is left.
bool TokenSampler::heat_wide() {
    if (settings_.dynamic_range == 0) {
        heat_ *= settings_.temperature;
    } else {
        const double total = weigh_measuring(-kInfinity);
        const double entropy = std::log(total) - mean_above(total) / heat_;
        heat_ *= heated(entropy, static_cast<double>(n_left_));
    }
    const bool greedy = heat_ == 0;
    heat_ = greedy ? 1 : heat_;
    return greedy;
}

// One step; whether its result is a list.
bool TokenSampler::step_wide(Step step, const Random& random, double mu) {
    std::size_t k = 0;  // list so many of the greatest
    switch (step) {
        case Step::temperature:
            k = heat_wide() ? 1 : 0;
            break;
        case Step::top_n_sigma:
            keep_sigma_wide();
            break;
        case Step::top_k:
            k = settings_.top_k < n_left_ ? static_cast<std::size_t>(settings_.top_k) : 0;
            break;
        case Step::top_p:
        case Step::typical_p:
            keep_ring(ring_of(step));
            break;
        case Step::min_p:
            cut(floor_of(settings_.min_p));
            break;
        case Step::xtc:
            if (random.xtc < settings_.xtc_probability) {
                keep_xtc_wide();
            }
            break;
        case Step::mirostat_1: {
            const auto n = static_cast<std::size_t>(n_left_);
            list_top_k(kZipfTokens);
            k = static_cast<std::size_t>(mirostat_size(n, mu));
            k = k < n ? k : 0;
            break;
        }
        case Step::mirostat_2: {
            const double least = logit_of(std::exp2(-mu) * weigh_measuring(-kInfinity));
            if (least > max_) {
                k = 1;
            } else {
                cut(static_cast<float>(std::max<double>(least, -FLT_MAX)));
            }
            break;
        }
    }
    if (k > 0) {
        list_top_k(k);
    }
    return k > 0;
}

// The steps from `next` on, and the draw.
std::int32_t TokenSampler::choose_wide(std::size_t next, const Random& random, double mu,
                                       StepResult& result) {
    const std::vector<Step>& steps = settings_.steps;
    if (needs_count_) {
        cut(-kInfinity);
    }
    for (; next < steps.size(); ++next) {
        if (n_left_ <= kFewLeft) {
            list_above(-kInfinity);
            return finish_listed(next, random, mu, result);
        }
        const Step step = steps[next];
        if (next + 1 == steps.size() && (step == Step::top_p || step == Step::typical_p)) {
            return choose_weighed(ring_of(step), -kInfinity, random.draw, result);
        }
        if (step_wide(step, random, mu)) {
            return finish_listed(next + 1, random, mu, result);
        }
    }
    weigh_measuring(-kInfinity);
    return choose_weighed({}, -kInfinity, random.draw, result);
}

}  // namespace constrain
