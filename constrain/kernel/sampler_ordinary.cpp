// Weights of all allowed tokens, the search by distance, and the draw; sampler.h has the ideas.
#include "sampler.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kShareable = 40;     // weights relative to a maximum so far away are still exact
constexpr std::size_t kRows = kChunk / kLanes;  // of which the sample takes one a chunk
constexpr std::size_t kBins = 256;   // of the band, by distance
constexpr int kBisections = 24;      // at most, until
constexpr double kCoarse = 0.004;    // of the mass is between the ends
constexpr float kReach = 44;         // log-weights where the search begins; e^-44 = 8e-20
constexpr double kDoubt = 2;         // standard errors of the sample's sum that guess() allows
constexpr float kGrowth = 16;        // of the ring, where the guess missed

// Beyond float32 the greatest float32: a double out of range must not be converted.
float to_float(double value) {
    return static_cast<float>(std::clamp<double>(value, -FLT_MAX, FLT_MAX));
}

}  // namespace

bool TokenSampler::Ring::keeps(float value, std::int32_t id) const {
    const double away = std::abs(value - center);
    return away < radius || (away == radius && id <= last);
}

double TokenSampler::log_weight(float value) const {
    return (static_cast<double>(value) - max_) / heat_;
}

// The least logit with `share` of the greatest probability.
float TokenSampler::floor_of(double share) const {
    return to_float(max_ + heat_ * std::log(share));
}

// The temperature for this entropy (in nats) over n tokens.
double TokenSampler::heated(double entropy, double n) const {
    if (n < 2) {
        return settings_.temperature;
    }
    const double coldest = std::max(0.0, settings_.temperature - settings_.dynamic_range);
    const double hottest = settings_.temperature + settings_.dynamic_range;
    const double flatness = std::clamp(entropy / std::log(n), 0.0, 1.0);
    return coldest + (hottest - coldest) * std::pow(flatness, settings_.dynamic_exponent);
}

// Weights at the present temperature of the tokens with a logit of `least` or more; their sum.
double TokenSampler::weigh(float least) {
    how_ = {max_, static_cast<float>(std::min<double>(1 / heat_, FLT_MAX)), least};
    double total = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        chunk_mass_[chunk] = 0;
        if (chunk_max_[chunk] >= std::max(least, -FLT_MAX)) {
            load(chunk);
            chunk_mass_[chunk] =
                vector_loops().weigh(values_.data(), how_, &weights_[chunk * kChunk]);
        }
        total += chunk_mass_[chunk];
    }
    return total;
}

// The same, and the sums for measure(), from one reading of the logits.
double TokenSampler::weigh_measuring(float least) {
    if (owned_ || infinite_ || raw_max_ == kInfinity) {
        return weigh(least);
    }
    const bool shared = heat_ == 1 && std::abs(max_ - raw_max_) <= kShareable;
    how_ = {shared ? raw_max_ : max_, static_cast<float>(std::min<double>(1 / heat_, FLT_MAX)),
            least};
    const VectorLoops& loops = vector_loops();
    double total = 0;
    allowed_mass_ = forbidden_mass_ = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        const float* logits = chunk_logits(chunk);
        const std::uint32_t* words = chunk_words(chunk);
        float* out = &weights_[chunk * kChunk];
        const bool empty = chunk_max_[chunk] < std::max(least, -FLT_MAX);
        ChunkMass mass = empty    ? loops.masses(logits, words, raw_max_)
                         : shared ? loops.share(logits, words, how_, out)
                                  : loops.pair(logits, words, raw_max_, how_, out);
        if (!empty && has_patch(chunk)) {
            load(chunk);
            mass.kept = loops.weigh(values_.data(), how_, out);
        }
        allowed_mass_ += mass.allowed;
        forbidden_mass_ += mass.forbidden;
        total += chunk_mass_[chunk] = mass.kept;
    }
    measured_ = true;
    return total;
}

// sample_*: the maxima of all groups of 32 tokens, each for itself, and one row of 16 tokens of
// each chunk, each of them (if it is no maximum) for 32 of its like.
void TokenSampler::take_sample(double center) {
    const float c = to_float(center);
    const std::size_t n_groups = lane_max_.size();
    sample_nearness_.resize(2 * n_groups, -kInfinity);
    sample_masses_.resize(2 * n_groups);
    sample_squares_.resize(2 * n_groups);  // 0 for the groups: they are exact
    for (std::size_t i = 0; i < n_groups; i += kChunk) {
        vector_loops().weigh(&lane_max_[i], how_, &sample_masses_[i]);
    }
    for (std::size_t i = 0; i < n_groups; ++i) {
        sample_nearness_[i] = -std::abs(lane_max_[i] - c);
    }
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        const std::size_t offset = chunk * 7 % kRows * kLanes;
        const float* logits = chunk_logits(chunk) + offset;
        const float* weights = &weights_[chunk * kChunk + offset];
        const float* tops = &lane_max_[chunk * kLanes];
        float* nearness = &sample_nearness_[n_groups + chunk * kLanes];
        float* masses = &sample_masses_[n_groups + chunk * kLanes];
        float* squares = &sample_squares_[n_groups + chunk * kLanes];
        const float factor = chunk_mass_[chunk] > 0 ? kRows : 0;
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            nearness[lane] = -std::abs(logits[lane] - c);
            masses[lane] = logits[lane] == tops[lane] ? 0 : factor * weights[lane];
            squares[lane] = masses[lane] * masses[lane];
        }
    }
}

// The sum of `parts` (masses or their squares) of the sample's tokens nearer than `distance`.
double TokenSampler::sampled(const std::vector<float>& parts, float distance) const {
    double sum = 0;
    for (std::size_t i = 0; i < parts.size(); i += kChunk) {
        sum += vector_loops().kept(&sample_nearness_[i], &parts[i], -distance);
    }
    return sum;
}

// Distances between which the sum of masses, nearest first, passes `share` of all mass; a
// guess. The sum nearer than some distance is off by the sampled part of it, (1 - share) times,
// and by what is farther, share times.
void TokenSampler::guess(double share, float& low, float& high) const {
    const double all = sampled(sample_masses_, kInfinity);
    const double squares = sampled(sample_squares_, kInfinity);
    low = 0;
    high = to_float(kReach * heat_);
    if (sampled(sample_masses_, high) < (1 + share) / 2 * all) {
        high = kInfinity;
        return;
    }
    const double coarse = std::min(kCoarse, (1 - share) / 4) * all;
    double below = -kInfinity;
    double above = kInfinity;
    for (int i = 0; i < kBisections && above - below > coarse; ++i) {
        const float middle = low + (high - low) / 2;
        const double mass = sampled(sample_masses_, middle);
        (mass < share * all ? low : high) = middle;
        (mass < share * all ? below : above) = mass;
    }
    const double near_squares = sampled(sample_squares_, high);
    const double margin = kDoubt * std::sqrt((1 - share) * (1 - share) * near_squares +
                                             share * share * (squares - near_squares));
    const double near = std::max(share * all - margin, share * all / 2);
    const double far = std::min(share * all + margin, (1 + share) / 2 * all);
    for (float step = (high - low) / 2; low > 0 && sampled(sample_masses_, low) >= near;) {
        low = std::max(0.0F, low - step);
        step *= 2;
    }
    for (float step = (high - low) / 4; sampled(sample_masses_, high) < far; step *= 2) {
        high += step;
    }
}

// band_ = tokens at distances in [low, high), chunk_near_ = the sums of what is nearer. Returns
// the sum of those. Distances from the greatest logit are told by the weights alone, which
// halves what is read (16 to 11 us for 128 256 tokens).
double TokenSampler::list_ring(double center, float low, float high) {
    const float c = to_float(center);
    const bool by_weight = center == max_;
    const float heavy = to_float(std::exp((center - how_.max - low) / heat_));
    const float light = to_float(std::exp((center - how_.max - high) / heat_));
    heavy_ = low > 0 ? heavy : kInfinity;
    light_ = std::max(light, FLT_MIN);  // as small as weights are
    double near = 0;
    band_.clear();
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        chunk_near_[chunk] = 0;
        if (chunk_mass_[chunk] == 0) {
            continue;
        }
        const float* weights = &weights_[chunk * kChunk];
        std::size_t n = 0;
        if (by_weight) {
            chunk_near_[chunk] = vector_loops().band(weights, light_, heavy_, positions_.data(), &n);
        } else {
            load(chunk);
            chunk_near_[chunk] = vector_loops().ring(values_.data(), weights, c, low, high,
                                                     positions_.data(), &n);
        }
        near += chunk_near_[chunk];
        for (std::size_t i = 0; i < n; ++i) {
            const auto at = static_cast<std::size_t>(positions_[i]);
            const float key = by_weight ? -weights[at] : std::abs(values_[at] - c);
            if (weights[at] > 0) {
                band_.push_back({static_cast<std::int32_t>(chunk * kChunk + at), key, weights[at]});
            }
        }
    }
    return near;
}

double TokenSampler::band_mass() const {
    double mass = 0;
    for (const Banded& item : band_) {
        mass += item.mass;
    }
    return mass;
}

// Where the sum of band_, nearest first, reaches `target`. Only one bin of its keys is sorted;
// the tokens after the end go to dropped_, the masses of the others to chunk_near_.
TokenSampler::Candidate TokenSampler::settle(double center, double target) {
    const auto nearer = [](const Banded& a, const Banded& b) { return a.key < b.key; };
    const auto [near, far] = std::minmax_element(band_.begin(), band_.end(), nearer);
    const float first = near->key;
    const float scale = far->key > first ? (kBins - 1) / (far->key - first) : 0;
    const auto bin_of = [&](const Banded& item) {
        return static_cast<std::size_t>(std::min((item.key - first) * scale, kBins - 1.0F));
    };
    std::array<double, kBins> bins{};
    for (const Banded& item : band_) {
        bins[bin_of(item)] += item.mass;
    }
    const std::size_t last = bin_of(*far);
    std::size_t bin = 0;
    while (bin < last && (bins[bin] < target || bins[bin] == 0)) {
        target -= bins[bin++];
    }
    const auto candidate = [&](const Banded& item) {
        const float value = value_of(item.token_id);
        return Candidate{item.token_id, value, -std::abs(value - center), item.mass};
    };
    scratch_.clear();
    for (const Banded& item : band_) {
        if (bin_of(item) == bin) {
            scratch_.push_back(candidate(item));
        }
    }
    const Candidate end = prefix_end(scratch_, target);
    dropped_.clear();
    for (const Banded& item : band_) {
        const std::size_t place = bin_of(item);
        if (place > bin || (place == bin && before(end, candidate(item)))) {
            dropped_.push_back(item.token_id);
        } else {
            chunk_near_[static_cast<std::size_t>(item.token_id) / kChunk] += item.mass;
        }
    }
    return end;
}

// What is nearest to `center` and has `share` of `total`; chunk_mass_ is then its mass. What
// the sample missed is looked for in that direction, ever faster.
TokenSampler::Ring TokenSampler::nearest(double center, double share, double total) {
    const double target = share * total;
    float low = 0;
    float high = kInfinity;
    take_sample(center);
    guess(share, low, high);
    float width = std::max((std::isinf(high) ? low : high) - low, to_float(heat_ / 1024));
    double left = target - list_ring(center, low, high);
    while (left <= 0 && low > 0) {
        high = low;
        low = std::max(0.0F, low - (width *= kGrowth));
        left = target - list_ring(center, low, high);
    }
    while (!std::isinf(high) && band_mass() < left) {
        low = high;
        high += width *= kGrowth;
        left = target - list_ring(center, low, high);
    }
    reach_ = band_.empty() ? low : high;
    light_ = band_.empty() ? heavy_ : light_;
    Ring ring;
    ring.center = center;
    if (band_.empty()) {  // sums that differ by rounding: all that is nearer than low
        dropped_.clear();
        ring.radius = low;
        ring.last = -1;
    } else {
        const Candidate end = settle(center, left);
        ring.radius = -end.order;
        ring.last = end.token_id;
    }
    chunk_mass_ = chunk_near_;
    return ring;
}

// chunk_mass_ = the weights of logits of `least` or more. Where it was 0 it stays so.
void TokenSampler::restrict_chunks(float least) {
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        if (chunk_mass_[chunk] == 0 || chunk_max_[chunk] < least) {
            chunk_mass_[chunk] = 0;
            continue;
        }
        load(chunk);
        chunk_mass_[chunk] =
            vector_loops().kept(values_.data(), &weights_[chunk * kChunk], least);
    }
}

std::int32_t TokenSampler::choose_ordinary(double u, StepResult& result) {
    heat_ = settings_.temperature;
    const float least = settings_.min_p > 0 ? floor_of(settings_.min_p) : -kInfinity;
    if (settings_.top_p >= 1) {
        weigh_measuring(least);
        return choose_weighed({}, least, u, result);
    }
    const Ring ring = nearest(max_, settings_.top_p, weigh_measuring(-kInfinity));
    if (max_ - least < ring.radius) {  // the ring holds all that min-p keeps
        restrict_chunks(least);
    }
    return choose_weighed(ring, least, u, result);
}

// Draws from the weights of what the ring keeps; chunk_mass_ is right for it.
std::int32_t TokenSampler::choose_weighed(const Ring& ring, float least, double u,
                                          StepResult& result) {
    double total = 0;
    for (const double mass : chunk_mass_) {
        total += mass;
    }
    double left = u * total;
    std::size_t chosen_chunk = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        if (chunk_mass_[chunk] > 0) {
            chosen_chunk = chunk;
            if (left < chunk_mass_[chunk]) {
                break;
            }
            left -= chunk_mass_[chunk];
        }
    }
    load(chosen_chunk);
    std::int32_t chosen = -1;
    for (std::size_t i = 0; i < kChunk; ++i) {
        const auto id = static_cast<std::int32_t>(chosen_chunk * kChunk + i);
        const float weight = weights_[chosen_chunk * kChunk + i];
        if (weight > 0 && values_[i] >= least && ring.keeps(values_[i], id)) {
            chosen = id;
            left -= weight;
            if (left < 0) {
                break;
            }
        }
    }
    const double log_mass = (static_cast<double>(value_of(chosen)) - how_.max) / heat_;
    result.sampling_logprob = log_mass - std::log(total);
    return chosen;
}

}  // namespace constrain
