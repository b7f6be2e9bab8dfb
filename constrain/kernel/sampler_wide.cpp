// Steps over too many tokens to list: each raises a floor under the logits, or clears bits of a
// copy of the mask.
#include "sampler.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int64_t kFewLeft = 2048;
constexpr double kLeastSquares = 1e-20;  // of less, float32 loses those below 1e-38
constexpr std::size_t kZipfTokens = 100;  // as in sampler_list.cpp: all that mirostat 1 looks at

}  // namespace

// Keeps working logits of `least` or more; of -inf none is kept anyway.
void TokenSampler::raise_floor(float least) {
    if (least > floor_) {
        floor_ = least;
        weighed_ = false;
    }
}

// n_left_ = tokens not below the floor.
void TokenSampler::recount() {
    n_left_ = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        if (chunk_max_[chunk] >= floor_) {
            n_left_ += vector_loops().count(chunk_values(chunk), chunk_plain(chunk), floor_);
        }
    }
    n_left_ += std::count_if(patches_.begin(), patches_.end(), [this](const Patch& patch) {
        return patch.value >= floor_ && is_left(patch.token_id);
    });
}

// Keeps what the ring does, which nearest() found last; chunk_mass_ stays right.
void TokenSampler::keep_ring(const Ring& ring) {
    const auto kept = [&](double value) { return std::abs(value - ring.center) <= ring.radius; };
    const auto rounded = [](double value) {
        return static_cast<float>(std::clamp<double>(value, -FLT_MAX, FLT_MAX));
    };
    float low = rounded(ring.center - ring.radius);
    float high = rounded(ring.center + ring.radius);
    low = kept(low) ? low : std::nextafter(low, kInfinity);
    high = kept(high) ? high : std::nextafter(high, -kInfinity);
    const std::vector<double> masses = chunk_mass_;
    for (const Candidate& item : band_) {
        if (-item.order == ring.radius && item.token_id > ring.last) {
            strike(item.token_id);
        }
    }
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        if (chunk_max_[chunk] > high) {
            own_words();
            load(chunk);
            vector_loops().within(values_.data(), -FLT_MAX, high, &own_[chunk * kChunkWords]);
            renew(chunk);
        }
    }
    max_ = *std::max_element(chunk_max_.begin(), chunk_max_.end());
    floor_ = std::max(floor_, low);
    how_.least = floor_;
    chunk_mass_ = masses;
}

void TokenSampler::keep_sigma_wide() {
    ChunkSpread all;
    const auto add = [&](float center) {
        all = {};
        for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
            if (chunk_max_[chunk] >= floor_) {
                const ChunkSpread part =
                    vector_loops().spread(chunk_values(chunk), chunk_plain(chunk), floor_, center);
                all.n += part.n;
                all.sum += part.sum;
                all.squares += part.squares;
            }
        }
        for (const Patch& patch : patches_) {
            if (patch.value >= floor_ && is_left(patch.token_id)) {
                const double away = static_cast<double>(patch.value) - center;
                all.n += 1;
                all.sum += away;
                all.squares += away * away;
            }
        }
    };
    add(max_);
    add(static_cast<float>(max_ + all.sum / all.n));
    if (!std::isfinite(all.squares) || all.squares < kLeastSquares) {
        all = exact_spread();
    }
    const double shift = all.sum / all.n;
    const double sigma = std::sqrt(std::max(0.0, all.squares / all.n - shift * shift));
    raise_floor(at_least(max_ - settings_.top_n_sigma * sigma));
}

// The spread around the mean where float32 has no room for the squares.
ChunkSpread TokenSampler::exact_spread() {
    ChunkSpread all;
    double center = max_;
    for (int pass = 0; pass < 2; ++pass) {
        center += pass == 0 ? 0 : all.sum / all.n;
        all = {};
        for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
            load(chunk);
            for (const float value : values_) {
                const bool counts = value >= floor_;
                const double away = counts ? value - center : 0;
                all.n += counts ? 1 : 0;
                all.sum += away;
                all.squares += away * away;
            }
        }
    }
    return all;
}

// The least logit that has this weight; +inf if none is so great. Taken as a difference: added
// to 1e38, a logarithm would be lost.
float TokenSampler::least_of(double weight) const {
    const double distance = heat_ * std::log(weight);
    const bool reached = distance <= static_cast<double>(max_) - how_.max;
    return reached ? at_least(how_.max + distance) : kInfinity;
}

// Of the tokens with the threshold's probability or more, only the least probable one stays.
void TokenSampler::keep_xtc_wide() {
    const float least = least_of(settings_.xtc_threshold * weighed());
    if (least > max_) {
        return;
    }
    list_above(least);
    const auto last = std::max_element(listed_.begin(), listed_.end(), before);
    for (const Candidate& item : listed_) {
        if (before(item, *last)) {
            strike(item.token_id);
        }
    }
    max_ = *std::max_element(chunk_max_.begin(), chunk_max_.end());
}

// Whether only the greatest logit is left.
bool TokenSampler::heat_wide() {
    weighed_ = false;
    if (settings_.dynamic_range == 0) {
        heat_ *= settings_.temperature;
    } else {
        const double total = weigh(kMoment);
        const double entropy = std::log(total) - moment_ / total / heat_;
        heat_ *= heated(entropy, static_cast<double>(n_left_));
        weighed_ = false;
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
            keep_ring(nearest(step));
            break;
        case Step::min_p:
            raise_floor(floor_of(settings_.min_p));
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
            const float least = least_of(std::exp2(-mu) * weighed());
            if (least > max_) {
                k = 1;
            } else {
                raise_floor(least);
            }
            break;
        }
    }
    if (k > 0) {
        list_top_k(k);
    }
    return k > 0;
}

// Whether the tokens that are left had better be listed before this step.
bool TokenSampler::is_few(Step next) {
    const bool fixed = next == Step::temperature && settings_.dynamic_range == 0;
    if (fixed || next == Step::min_p || next == Step::xtc) {
        return false;
    }
    if (floor_ > -FLT_MAX) {
        recount();
    }
    return n_left_ <= kFewLeft;
}

// All steps, and the draw.
std::int32_t TokenSampler::choose_wide(const Random& random, double mu, StepResult& result) {
    const std::vector<Step>& steps = settings_.steps;
    if (needs_count_) {
        recount();
    }
    for (std::size_t next = 0; next < steps.size(); ++next) {
        const Step step = steps[next];
        if (is_few(step)) {
            list_above(-kInfinity);
            return finish_listed(next, random, mu, result);
        }
        if (next + 1 == steps.size() && (step == Step::top_p || step == Step::typical_p)) {
            last_ring_ = nearest(step);
        } else if (step_wide(step, random, mu)) {
            return finish_listed(next + 1, random, mu, result);
        }
    }
    return draw(random.draw, result);
}

}  // namespace constrain
