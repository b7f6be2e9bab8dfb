// What the model itself says of the chosen token, and how much the mask removed.
#include "sampler.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kFarBelow = 40;  // e^-87, where weights vanish, is e^-47 of e^-40

}  // namespace

// log-sum-exp of the allowed raw logits minus their maximum. Differences from a maximum are
// taken first everywhere: added to 1e38, a logarithm would be lost.
double TokenSampler::log_allowed() {
    double mass = 0;
    const Weighing how{raw_allowed_max_, 1, -FLT_MAX};
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        vector_loops().mask(chunk_logits(chunk), chunk_mask(chunk), values_.data());
        mass += vector_loops().weigh(values_.data(), how, values_.data());
    }
    return std::log(mass);
}

// A logit of +inf: the tokens that have it share all the mass.
void TokenSampler::measure_infinite(StepResult& result) {
    double n_all = 0;
    double n_allowed = 0;
    for (std::size_t i = 0; i < n_vocab_; ++i) {
        const bool infinite = logits_[i] == kInfinity;
        const bool allowed = (words_[i / 32] >> (i % 32) & 1U) != 0;
        n_all += infinite ? 1 : 0;
        n_allowed += infinite && allowed ? 1 : 0;
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
    if (!measured_) {
        allowed_mass_ = forbidden_mass_ = 0;
        for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
            const ChunkMass mass =
                vector_loops().masses(chunk_logits(chunk), chunk_mask(chunk), raw_max_);
            allowed_mass_ += mass.allowed;
            forbidden_mass_ += mass.forbidden;
        }
    }
    const double logit = logits_[result.token_id];
    const double max = raw_max_;
    const double allowed_max = raw_allowed_max_;
    const double total = allowed_mass_ + forbidden_mass_;
    result.logprob = logit - max - std::log(total);
    result.removed_mass = forbidden_mass_ / total;
    const double masked = allowed_max >= max - kFarBelow
                              ? logit - max - std::log(allowed_mass_)
                              : logit - allowed_max - log_allowed();
    // The mass is of rounded differences: a token that has it all may seem to have more.
    result.masked_logprob = std::min(0.0, masked);
}

}  // namespace constrain
