// Weights of all tokens that are left, and the draw from them; sampler.h has the ideas.
#include "sampler.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace constrain {
namespace {

constexpr float kShareable = 40;  // weights relative to a maximum so far away are still exact

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

// The least float32 that is not below `value`.
float TokenSampler::at_least(double value) {
    const float nearest = to_float(value);
    return nearest < value ? std::nextafter(nearest, std::numeric_limits<float>::infinity())
                           : nearest;
}

// The least logit with `share` of the greatest probability.
float TokenSampler::floor_of(double share) const {
    return at_least(max_ + heat_ * std::log(share));
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

// The sum of the weights of the tokens that are left, at the present temperature; what `extra`
// asks for (how_ says which ring); and the sums for measure(), if they are not there yet, from
// the same reading of the logits.
double TokenSampler::weigh(Extra extra) {
    const bool measuring = !measured_ && !infinite_ && !std::isinf(raw_max_);
    const bool shared = measuring && heat_ == 1 && std::abs(max_ - raw_max_) <= kShareable;
    how_.max = shared ? raw_max_ : max_;
    how_.scale = to_float(1 / heat_);
    how_.least = floor_;
    const VectorLoops& loops = vector_loops();
    const auto pass = loops.pass[shared ? kShared : measuring ? kPaired : kAlone][extra];
    const bool whole = shared && !owned_ && floor_ == -FLT_MAX;
    allowed_mass_ = measuring ? 0 : allowed_mass_;
    forbidden_mass_ = measuring ? 0 : forbidden_mass_;
    moment_ = 0;
    if (extra == kBelow || extra == kAround) {
        std::fill(ring_bits_.begin(), ring_bits_.end(), 0U);
    }
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        std::uint32_t* ring = &ring_bits_[chunk * kChunkWords];
        ChunkMass mass;
        if (chunk_max_[chunk] >= floor_) {
            const bool all = whole && patches_of(chunk).empty();
            mass = (all ? loops.pass[kWhole][extra] : pass)(chunk_values(chunk), chunk_mask(chunk),
                                                            raw_max_, chunk_plain(chunk), how_,
                                                            ring);
        } else if (measuring) {
            mass = loops.masses(chunk_logits(chunk), chunk_mask(chunk), raw_max_);
        }
        allowed_mass_ += mass.allowed;
        forbidden_mass_ += mass.forbidden;
        moment_ += mass.moment;
        chunk_mass_[chunk] = mass.kept;
        chunk_near_[chunk] = mass.near;
    }
    weigh_patches(extra);
    measured_ = measured_ || measuring;
    weighed_ = true;
    double total = 0;
    for (const double mass : chunk_mass_) {
        total += mass;
    }
    return total;
}

// Adds the patched tokens to the sums.
void TokenSampler::weigh_patches(Extra extra) {
    for (std::size_t first = 0; first < patches_.size(); first += kChunk) {
        const std::size_t n = std::min(patches_.size() - first, kChunk);
        std::fill(values_.begin(), values_.end(), -std::numeric_limits<float>::infinity());
        for (std::size_t i = 0; i < n; ++i) {
            values_[i] = patches_[first + i].value;
        }
        vector_loops().weigh(values_.data(), how_, masses_.data());
        for (std::size_t i = 0; i < n; ++i) {
            const std::int32_t id = patches_[first + i].token_id;
            if (masses_[i] == 0 || !is_left(id)) {
                continue;
            }
            const auto at = static_cast<std::size_t>(id);
            const float away = std::abs(values_[i] - how_.center);
            const bool below = extra == kBelow;
            const bool near = below ? values_[i] >= how_.inner : away < how_.low;
            const bool inside = below ? values_[i] >= how_.outer : away < how_.high;
            chunk_mass_[at / kChunk] += masses_[i];
            chunk_near_[at / kChunk] += near ? masses_[i] : 0;
            moment_ += static_cast<double>(masses_[i]) * (values_[i] - how_.max);
            ring_bits_[at / 32] |= static_cast<std::uint32_t>(inside && !near) << (at % 32);
        }
    }
}

// The sum of the weights of the tokens that are left. Only what changed is weighed anew.
double TokenSampler::weighed() {
    if (!weighed_ || max_ < how_.max - kShareable * heat_) {
        return weigh(kNothing);
    }
    double total = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        if (chunk_mass_[chunk] < 0) {
            load(chunk);
            chunk_mass_[chunk] = vector_loops().weigh(values_.data(), how_, masses_.data());
        }
        total += chunk_mass_[chunk];
    }
    return total;
}

// Draws from the weights: walks the sums of chunks, then one chunk.
std::int32_t TokenSampler::draw(double u, StepResult& result) {
    const double total = weighed();
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
    vector_loops().weigh(values_.data(), how_, masses_.data());
    std::int32_t chosen = -1;
    for (std::size_t i = 0; i < kChunk; ++i) {
        const auto id = static_cast<std::int32_t>(chosen_chunk * kChunk + i);
        if (masses_[i] > 0 && last_ring_.keeps(values_[i], id)) {
            chosen = id;
            left -= masses_[i];
            if (left < 0) {
                break;
            }
        }
    }
    const double log_mass = (static_cast<double>(value_of(chosen)) - how_.max) / heat_;
    result.sampling_logprob = std::min(0.0, log_mass - std::log(total));  // rounding
    return chosen;
}

}  // namespace constrain
