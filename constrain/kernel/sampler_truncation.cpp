// The part of TokenSampler that truncates and draws; sampler.h has the ideas.
#include "sampler.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <functional>

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kSampleRow = 16;    // narrow() looks at these of
constexpr std::size_t kSampleStep = 256;  // every so many tokens
constexpr int kFewSampled = 64;           // about 1 000 tokens: no need to narrow further
constexpr std::size_t kBins = 1024;       // narrow() sorts them into so many bins:
constexpr int kFineShift = 17;            //   64 an octave, between two levels
constexpr int kCoarseShift = 20;          //   8 an octave, from FLT_MIN on

// Beyond float32 the greatest float32: a double out of range must not be converted.
float to_float(double value) {
    return static_cast<float>(std::clamp<double>(value, -FLT_MAX, FLT_MAX));
}

}  // namespace

// ---- truncation over a list of candidates ----

double TokenSampler::mass_of(float value) const {
    return std::exp((static_cast<double>(value) - max_) / settings_.temperature);
}

// listed_ = allowed tokens whose working logit is >= least and not -inf, ids ascending.
void TokenSampler::list_above(float least) {
    listed_.clear();
    least = std::max(least, -FLT_MAX);
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        if (chunk_max_[chunk] < least) {
            continue;
        }
        load(chunk);
        std::size_t n = 0;
        vector_loops().band(values_.data(), least, kInfinity, positions_.data(), &n);
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
    if (listed_.size() > k) {
        scratch_ = listed_;
        const auto nth = scratch_.begin() + static_cast<std::ptrdiff_t>(k - 1);
        std::nth_element(scratch_.begin(), nth, scratch_.end(), before);
        keep(*nth);
    }
}

// The candidate at which the sum of masses, best first, reaches `target`; else the last one.
// Reorders `items`, which is not empty. Expected cost O(items).
TokenSampler::Candidate TokenSampler::prefix_end(std::vector<Candidate>& items, double target) {
    auto first = items.begin();
    auto last = items.end();
    while (last - first > 16) {
        const auto middle = first + (last - first) / 2;
        std::nth_element(first, middle, last, before);
        double mass = 0;
        for (auto item = first; item != middle; ++item) {
            mass += item->mass;
        }
        if (mass >= target) {
            last = middle;
        } else {
            target -= mass;
            first = middle;
        }
    }
    std::sort(first, last, before);
    for (auto item = first; item != last; ++item) {
        target -= item->mass;
        if (target <= 0) {
            return *item;
        }
    }
    return *(last - 1);
}

// Drops from the list what comes after `end`.
void TokenSampler::keep(const Candidate& end) {
    std::erase_if(listed_, [end](const Candidate& item) { return before(end, item); });
}

void TokenSampler::truncate_list() {
    double total = 0;
    for (Candidate& item : listed_) {
        item.mass = mass_of(item.value);
        total += item.mass;
    }
    if (settings_.top_p < 1) {
        scratch_ = listed_;
        keep(prefix_end(scratch_, settings_.top_p * total));
    }
    const float least = min_p_cut().value;
    std::erase_if(listed_, [least](const Candidate& item) { return item.value < least; });
}

void TokenSampler::keep_typical() {
    double total = 0;
    double entropy = 0;
    for (const Candidate& item : listed_) {
        total += item.mass;
    }
    for (const Candidate& item : listed_) {
        const double p = item.mass / total;
        entropy -= p > 0 ? p * std::log(p) : 0;
    }
    for (Candidate& item : listed_) {
        item.order = -std::abs(-std::log(item.mass / total) - entropy);
    }
    scratch_ = listed_;
    keep(prefix_end(scratch_, settings_.typical_p * total));
}

std::int32_t TokenSampler::choose_listed(double u, StepResult& result) const {
    double total = 0;
    for (const Candidate& item : listed_) {
        total += item.mass;
    }
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

// ---- truncation over the weights of all allowed tokens ----

double TokenSampler::log_weight(float value) const {
    return (static_cast<double>(value) - max_) / settings_.temperature;
}

double TokenSampler::weigh(float least) {
    const auto loop = settings_.top_p < 1 ? vector_loops().levels : vector_loops().weigh;
    double total = 0;
    above_.fill(0);
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        ChunkWeights weights;
        if (chunk_max_[chunk] >= std::max(least, -FLT_MAX)) {
            load(chunk);
            weights = loop(values_.data(), max_, scale_, &weights_[chunk * kChunk]);
        }
        total += chunk_mass_[chunk] = weights.mass;
        chunk_top_[chunk] = weights.top;
        for (std::size_t level = 0; level < kLevels; ++level) {
            above_[level] += weights.above[level];
        }
    }
    return total;
}

// Shrinks [low, high), where the sum passes `target`, by a sample; `above` is the sum from
// `high` on, `inside` that of the band. What comes out is a guess.
void TokenSampler::narrow(double target, double above, double inside, float& low,
                          float& high) const {
    std::array<float, kBins> bins{};
    const int shift = low > FLT_MIN ? kFineShift : kCoarseShift;
    const std::uint32_t base = std::bit_cast<std::uint32_t>(low) >> shift;
    double sampled = 0;
    int n = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        for (std::size_t i = 0; chunk_top_[chunk] >= low && i < kChunk; i += kSampleStep) {
            const float* row = &weights_[chunk * kChunk + i];
            for (std::size_t lane = 0; lane < kSampleRow; ++lane) {
                if (row[lane] >= low && row[lane] < high) {
                    bins[(std::bit_cast<std::uint32_t>(row[lane]) >> shift) - base] += row[lane];
                    sampled += row[lane];
                    ++n;
                }
            }
        }
    }
    if (n < kFewSampled) {
        return;
    }
    const double margin = 0.5 * inside / std::sqrt(n);  // about one standard error
    double sum = above;
    for (std::uint32_t bin = kBins; bin > 0 && sum < target + margin; --bin) {
        sum += static_cast<double>(bins[bin - 1]) * (inside / sampled);
        const float edge = std::bit_cast<float>((base + bin - 1) << shift);
        if (sum < target - margin) {
            high = std::min(high, edge);
        }
        if (sum >= target + margin) {
            low = std::max(low, edge);
        }
    }
}

// scratch_ = tokens with weights in [low, high). Returns the sum of weights from `high` on.
double TokenSampler::list_band(float low, float high) {
    double above = 0;
    scratch_.clear();
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        if (chunk_top_[chunk] < low) {
            continue;
        }
        const float* weights = &weights_[chunk * kChunk];
        std::size_t n = 0;
        above += vector_loops().band(weights, low, high, positions_.data(), &n);
        for (std::size_t i = 0; i < n; ++i) {
            const auto id = static_cast<std::int32_t>(chunk * kChunk) + positions_[i];
            const float value = value_of(id);
            scratch_.push_back({id, value, value, weights[positions_[i]]});
        }
    }
    return above;
}

double TokenSampler::band_mass() const {
    double mass = 0;
    for (const Candidate& item : scratch_) {
        mass += item.mass;
    }
    return mass;
}

TokenSampler::Cut TokenSampler::top_p_cut(double total) {
    const double target = settings_.top_p * total;
    std::size_t level = 0;
    while (level < kLevels && above_[level] < target) {
        ++level;
    }
    const float floor = level < kLevels ? kLevel[level] : FLT_MIN;
    const float ceiling = level > 0 ? kLevel[level - 1] : kInfinity;
    const double above = level > 0 ? above_[level - 1] : 0;
    float low = floor;
    float high = ceiling;
    narrow(target, above, (level < kLevels ? above_[level] : total) - above, low, high);
    double left = target - list_band(low, high);
    // The sample may have missed: go on in that direction, ever faster. The levels cannot miss
    // but for rounding of the sums, where the nearest token is right.
    for (float step = 1.06F; left <= 0 && high < ceiling; step *= step) {
        low = high;
        high = std::min(ceiling, high * step);
        left = target - list_band(low, high);
    }
    for (float step = 1.06F; band_mass() < left && low > floor; step *= step) {
        high = low;
        low = std::max(floor, low / step);
        left = target - list_band(low, high);
    }
    if (scratch_.empty()) {
        return {};
    }
    const Candidate end = prefix_end(scratch_, left);
    return {end.value, end.token_id};
}

TokenSampler::Cut TokenSampler::min_p_cut() const {
    Cut cut;
    if (settings_.min_p > 0) {
        cut.value = to_float(max_ + settings_.temperature * std::log(settings_.min_p));
    }
    return cut;
}

float TokenSampler::kept_mass(std::size_t chunk, const Cut& cut) {
    const float* weights = &weights_[chunk * kChunk];
    const std::size_t last = static_cast<std::size_t>(cut.token_id);
    load(chunk);
    if (last / kChunk != chunk) {  // tokens equal to the cut are all kept, or all dropped
        const bool with_ties = last / kChunk > chunk;
        return vector_loops().kept(values_.data(), weights,
                                   with_ties ? cut.value : std::nextafter(cut.value, kInfinity));
    }
    double mass = 0;
    for (std::size_t i = 0; i < kChunk; ++i) {
        const auto id = static_cast<std::int32_t>(chunk * kChunk + i);
        mass += cut.keeps(values_[i], id) ? weights[i] : 0;
    }
    return static_cast<float>(mass);
}

std::int32_t TokenSampler::choose_weighed(const Cut& cut, double u, StepResult& result) {
    double total = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        if (chunk_max_[chunk] < cut.value) {
            chunk_mass_[chunk] = 0;
        } else if (cut.value > -kInfinity && chunk_mass_[chunk] > 0) {
            chunk_mass_[chunk] = kept_mass(chunk, cut);
        }
        total += chunk_mass_[chunk];
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
    std::int32_t chosen = 0;
    for (std::size_t i = 0; i < kChunk; ++i) {
        const auto id = static_cast<std::int32_t>(chosen_chunk * kChunk + i);
        const float weight = weights_[chosen_chunk * kChunk + i];
        if (weight > 0 && cut.keeps(values_[i], id)) {
            chosen = id;
            left -= weight;
            if (left < 0) {
                break;
            }
        }
    }
    result.sampling_logprob = log_weight(value_of(chosen)) - std::log(total);
    return chosen;
}

}  // namespace constrain
