// Every step of a chain over a list of candidates; sampler.h has the ideas.
#include "sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kBins = 256;
constexpr std::size_t kFewItems = 32;   // are sorted
constexpr std::size_t kZipfTokens = 100;  // m of mirostat 1: tokens that its exponent is fitted to

}  // namespace

// listed_ = tokens that are left whose working logit is >= least, ids ascending.
void TokenSampler::list_above(float least) {
    listed_.clear();
    least = std::max(least, floor_);
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        if (chunk_max_[chunk] < least) {
            continue;
        }
        load(chunk);
        const std::size_t n =
            vector_loops().band(values_.data(), least, kInfinity, positions_.data());
        for (std::size_t i = 0; i < n; ++i) {
            const float value = values_[static_cast<std::size_t>(positions_[i])];
            const auto id = static_cast<std::int32_t>(chunk * kChunk) + positions_[i];
            listed_.push_back({id, value, value, 0});
        }
    }
}

bool TokenSampler::before(const Candidate& a, const Candidate& b) {
    return a.order > b.order || (a.order == b.order && a.token_id < b.token_id);
}

// Lists the k best. A group maximum is a token, so the k-th greatest of them is a lower bound.
void TokenSampler::list_top_k(std::size_t k) {
    const std::vector<float>& groups = k <= n_chunks_ * 3 / 4 ? chunk_max_ : lane_max_;
    float least = -kInfinity;
    if (k <= groups.size()) {
        group_scratch_ = groups;
        const auto nth = group_scratch_.begin() + static_cast<std::ptrdiff_t>(k - 1);
        std::nth_element(group_scratch_.begin(), nth, group_scratch_.end(), std::greater<>());
        least = *nth;
    }
    list_above(least);
    keep_best(k);
}

// Keeps of `items` those of one bin of their orders, where the sum of masses, best first, reaches
// `target`, and takes the better ones' masses from it. Whether it could part them.
bool TokenSampler::narrow(std::vector<Candidate>& items, double& target) {
    const auto lesser = [](const Candidate& a, const Candidate& b) { return a.order < b.order; };
    const auto [worst, best] = std::minmax_element(items.begin(), items.end(), lesser);
    const double first = best->order;
    const double scale = (kBins - 1) / (first - worst->order);
    if (!std::isfinite(scale)) {
        return false;
    }
    const auto bin_of = [&](const Candidate& item) {
        return std::min(static_cast<std::size_t>((first - item.order) * scale), kBins - 1);
    };
    std::array<double, kBins> bins{};
    for (const Candidate& item : items) {
        bins[bin_of(item)] += item.mass;
    }
    const std::size_t last = bin_of(*worst);
    std::size_t bin = 0;
    while (bin < last && (bins[bin] < target || bins[bin] == 0)) {
        target -= bins[bin++];
    }
    std::erase_if(items, [&](const Candidate& item) { return bin_of(item) != bin; });
    return true;
}

// The candidate at which the sum of masses, best first, reaches `target`; else the last one.
// Changes `items`, which is not empty. Expected cost O(items).
TokenSampler::Candidate TokenSampler::prefix_end(std::vector<Candidate>& items, double target) {
    while (items.size() > kFewItems && narrow(items, target)) {
    }
    std::sort(items.begin(), items.end(), before);
    for (const Candidate& item : items) {
        target -= item.mass;
        if (target <= 0) {
            return item;
        }
    }
    return items.back();
}

// Drops from the list what comes after `end`.
void TokenSampler::keep(const Candidate& end) {
    std::erase_if(listed_, [end](const Candidate& item) { return before(end, item); });
}

// Keeps the k greatest logits.
void TokenSampler::keep_best(std::size_t k) {
    if (listed_.size() <= k) {
        return;
    }
    for (Candidate& item : listed_) {
        item.order = item.value;
    }
    scratch_ = listed_;
    const auto nth = scratch_.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(scratch_.begin(), nth, scratch_.end(), before);
    keep(*nth);
}

// Masses of the list at the present temperature, and their sum; max_ becomes the list's.
double TokenSampler::weigh_listed() {
    max_ = -kInfinity;
    for (const Candidate& item : listed_) {
        max_ = std::max(max_, item.value);
    }
    double total = 0;
    for (Candidate& item : listed_) {
        item.order = item.value;
        item.mass = std::exp((static_cast<double>(item.value) - max_) / heat_);
        total += item.mass;
    }
    return total;
}

double TokenSampler::entropy_listed(double total) const {
    double entropy = 0;
    for (const Candidate& item : listed_) {
        const double p = item.mass / total;
        entropy -= p > 0 ? p * std::log(p) : 0;
    }
    return entropy;
}

void TokenSampler::keep_typical() {
    const double total = weigh_listed();
    double mean = 0;  // surprise less entropy is (mean logit - logit) / temperature
    for (const Candidate& item : listed_) {
        mean += item.mass > 0 ? item.mass / total * item.value : 0;
    }
    for (Candidate& item : listed_) {
        item.order = -std::abs(item.value - mean);
    }
    scratch_ = listed_;
    keep(prefix_end(scratch_, settings_.typical_p * total));
}

void TokenSampler::keep_sigma() {
    double sum = 0;
    for (const Candidate& item : listed_) {
        sum += item.value;
    }
    const auto n = static_cast<double>(listed_.size());
    double squares = 0;
    for (const Candidate& item : listed_) {
        squares += (item.value - sum / n) * (item.value - sum / n);
    }
    const double least = max_ - settings_.top_n_sigma * std::sqrt(squares / n);
    std::erase_if(listed_, [least](const Candidate& item) { return item.value < least; });
}

// Of the tokens with the threshold's probability or more, only the least probable one stays.
void TokenSampler::keep_xtc() {
    const double least = settings_.xtc_threshold * weigh_listed();
    const Candidate* last = nullptr;
    for (const Candidate& item : listed_) {
        if (item.mass >= least && (last == nullptr || before(*last, item))) {
            last = &item;
        }
    }
    if (last != nullptr) {
        std::erase_if(listed_, [end = *last](const Candidate& item) { return before(item, end); });
    }
}

// Keeps what has a surprise of mu bits or less; the greatest logit at least.
void TokenSampler::keep_unsurprising(double mu) {
    const double least = std::exp2(-mu) * weigh_listed();
    if (least > 1) {
        keep_best(1);
    } else {
        std::erase_if(listed_, [least](const Candidate& item) { return item.mass < least; });
    }
}

// How many tokens mirostat 1 keeps, of n, from the listed ones. Makes the list that of the
// kZipfTokens greatest.
double TokenSampler::mirostat_size(std::size_t n, double mu) {
    keep_best(kZipfTokens);
    weigh_listed();
    std::sort(listed_.begin(), listed_.end(), before);
    double products = 0;
    double squares = 0;
    for (std::size_t i = 0; i + 1 < listed_.size() && i + 1 < kZipfTokens; ++i) {
        const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
        const double b = (static_cast<double>(listed_[i].value) - listed_[i + 1].value) / heat_;
        products += t * b;
        squares += t * t;
    }
    const auto by_id = [](const Candidate& a, const Candidate& b) {
        return a.token_id < b.token_id;
    };
    std::sort(listed_.begin(), listed_.end(), by_id);
    const double exponent = squares > 0 ? products / squares : 0;
    const double epsilon = exponent - 1;
    const double size = static_cast<double>(n);
    const double share = epsilon == 0 ? 1 / std::log(size)
                                      : epsilon / (1 - std::pow(size, -epsilon));
    const double k = std::pow(share * std::exp2(mu), 1 / exponent);
    return std::isnan(k) ? size : std::clamp(std::floor(k), 1.0, size);
}

void TokenSampler::step_listed(Step step, const Random& random, double mu) {
    switch (step) {
        case Step::temperature:
            if (settings_.dynamic_range > 0) {
                const double entropy = entropy_listed(weigh_listed());
                heat_ *= heated(entropy, static_cast<double>(listed_.size()));
            } else {
                heat_ *= settings_.temperature;
            }
            if (heat_ == 0) {
                keep_best(1);
                heat_ = 1;
            }
            break;
        case Step::top_n_sigma:
            weigh_listed();
            keep_sigma();
            break;
        case Step::top_k:
            keep_best(static_cast<std::size_t>(settings_.top_k));
            break;
        case Step::top_p: {
            const double target = settings_.top_p * weigh_listed();
            scratch_ = listed_;
            keep(prefix_end(scratch_, target));
            break;
        }
        case Step::min_p: {
            weigh_listed();
            const float least = floor_of(settings_.min_p);
            std::erase_if(listed_, [least](const Candidate& item) { return item.value < least; });
            break;
        }
        case Step::typical_p:
            keep_typical();
            break;
        case Step::xtc:
            if (random.xtc < settings_.xtc_probability) {
                keep_xtc();
            }
            break;
        case Step::mirostat_1: {
            const std::vector<Candidate> all = listed_;
            const double k = mirostat_size(all.size(), mu);
            listed_ = all;
            keep_best(static_cast<std::size_t>(k));
            break;
        }
        case Step::mirostat_2:
            keep_unsurprising(mu);
            break;
    }
}

// The steps from `next` on over the list, and the draw.
std::int32_t TokenSampler::finish_listed(std::size_t next, const Random& random, double mu,
                                         StepResult& result) {
    for (; next < settings_.steps.size(); ++next) {
        step_listed(settings_.steps[next], random, mu);
    }
    return choose_listed(random.draw, result);
}

std::int32_t TokenSampler::choose_listed(double u, StepResult& result) {
    const double total = weigh_listed();
    double left = u * total;
    const Candidate* chosen = nullptr;
    for (const Candidate& item : listed_) {
        if (item.mass > 0) {
            chosen = &item;
            left -= item.mass;
            if (left < 0) {
                break;
            }
        }
    }
    result.sampling_logprob = log_weight(chosen->value) - std::log(total);
    return chosen->token_id;
}

}  // namespace constrain
