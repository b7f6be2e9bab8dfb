// What top-p and typical-p keep: the tokens nearest to a logit that have so much of the mass.
//
// A sample tells, before anything is weighed, between which distances the limit lies: the
// maxima of all groups of 32 tokens, each for itself, and of the other tokens one in 32. The
// pass that weighs sums what is nearer and marks what is between; the marked are listed and
// settled exactly. Where the sample was wrong, as where few tokens have all of the mass, what the
// pass found tells on which side to look.
//
// Where the greatest logits of groups show that few tokens have the mass, as in most rows of a
// model, these are listed instead.
//
// Dropped: bisection over all tokens (5 us a halving); a histogram of the sample (scattered
// additions); weights kept in memory (they leave no room for the logits in the caches).
#include "sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <numeric>

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kRows = kChunk / kLanes;  // of which the sample takes one a chunk
constexpr int kBisections = 24;  // at most, until
constexpr double kCoarse = 0.03;  // of the mass is between the ends
constexpr int kHalvings = 12;    // of the part of the sample between them
constexpr float kReach = 44;     // log-weights where the search begins; e^-44 = 8e-20
constexpr double kDoubt = 3;     // standard errors of the sample that guess() allows for
constexpr double kPeak = 10;             // log-weights below the greatest that are listed
constexpr std::size_t kFewGroups = 1024;  // with a token so near, if all is listed
constexpr double kRestOfGroup = 4;       // times the greatest of a group
constexpr int kGuesses = 8;              // then all tokens are listed

float to_float(double value) {
    return static_cast<float>(std::clamp<double>(value, -FLT_MAX, FLT_MAX));
}

}  // namespace

// sample_*: the groups' maxima, then a row of each chunk.
void TokenSampler::take_sample() {
    const std::size_t n_groups = lane_max_.size();
    how_ = {max_, to_float(1 / heat_), floor_};
    sample_values_.resize(2 * n_groups, -kInfinity);
    sample_nearness_.resize(2 * n_groups, -kInfinity);
    sample_masses_.resize(2 * n_groups);
    sample_squares_.resize(2 * n_groups);  // 0 for the groups: they are exact
    std::copy(lane_max_.begin(), lane_max_.end(), sample_values_.begin());
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        const std::size_t row = chunk * 7 % kRows;
        vector_loops().others(chunk_values(chunk), chunk_plain(chunk), row,
                              &lane_max_[chunk * kLanes],
                              &sample_values_[n_groups + chunk * kLanes]);
    }
    for (std::size_t i = 0; i < 2 * n_groups; i += kChunk) {
        vector_loops().weigh(&sample_values_[i], how_, &sample_masses_[i]);
    }
    for (std::size_t i = n_groups; i < 2 * n_groups; ++i) {
        sample_masses_[i] *= kRows;
        sample_squares_[i] = sample_masses_[i] * sample_masses_[i];
    }
}

// The sum of `masses` at distances up to this. Both vectors are whole blocks of kChunk.
double TokenSampler::up_to(const std::vector<float>& nearness, const std::vector<float>& masses,
                           float distance) {
    double sum = 0;
    for (std::size_t i = 0; i < masses.size(); i += kChunk) {
        sum += vector_loops().kept(&nearness[i], &masses[i], -distance);
    }
    return sum;
}

// The same of the sample's masses, or of their squares.
double TokenSampler::sampled(const std::vector<float>& parts, float distance) const {
    return up_to(sample_nearness_, parts, distance);
}

// The mean logit by the sample's weights, and its standard error.
TokenSampler::Mean TokenSampler::sampled_mean() const {
    const float farthest = to_float(2 * kReach * heat_);  // where weights are 0
    std::array<float, kLanes> total{};
    std::array<float, kLanes> moment{};
    std::array<float, kLanes> squares{};
    const auto add_up = [](const auto& lanes) {
        return std::accumulate(lanes.begin(), lanes.end(), 0.0);
    };
    for (std::size_t i = 0; i < sample_masses_.size(); i += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const float away = std::min(max_ - sample_values_[i + lane], farthest);
            total[lane] += sample_masses_[i + lane];
            moment[lane] += sample_masses_[i + lane] * away;
        }
    }
    const double mean = add_up(moment) / add_up(total);
    const auto shift = static_cast<float>(mean);
    for (std::size_t i = sample_masses_.size() / 2; i < sample_masses_.size(); i += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const float away = std::min(max_ - sample_values_[i + lane], farthest) - shift;
            squares[lane] += sample_squares_[i + lane] * away * away;
        }
    }
    return {max_ - mean, std::sqrt(add_up(squares)) / add_up(total)};
}

// Distances between which the sum of masses, nearest first, passes `share` of all mass. The sum
// nearer than some distance is off by the sampled part of it, (1 - share) times, and by what is
// farther, share times; kDoubt standard errors are allowed for, also of the center, and one
// token of the sample, which matters where there are few.
TokenSampler::Guess TokenSampler::guess(const Mean& center, double share) {
    const float c = to_float(center.value);
    std::transform(sample_values_.begin(), sample_values_.end(), sample_nearness_.begin(),
                   [c](float value) { return -std::abs(value - c); });
    const double all = sampled(sample_masses_, kInfinity);
    const double squares = sampled(sample_squares_, kInfinity);
    Guess bounds{0, to_float(kReach * heat_)};
    const double farthest = all - (1 - share) / 8 * all;
    if (sampled(sample_masses_, bounds.high) < farthest) {
        return {};
    }
    bracket(bounds, share);
    double below = sampled(sample_masses_, bounds.low);
    double above = sampled(sample_masses_, bounds.high);
    const double near_squares = sampled(sample_squares_, bounds.high);
    const double margin = kDoubt * std::sqrt((1 - share) * (1 - share) * near_squares +
                                            share * share * (squares - near_squares));
    const double near = std::max(share * all - margin, share * all / 2);
    const double far = std::min(share * all + margin, farthest);
    float step = std::max(bounds.high - bounds.low, FLT_EPSILON * bounds.high);
    for (; bounds.low > 0 && below >= near; step *= 2) {
        bounds.low = std::max(0.0F, bounds.low - step);
        below = sampled(sample_masses_, bounds.low);
    }
    for (; above < far; step *= 2) {
        bounds.high += step;
        above = sampled(sample_masses_, bounds.high);
    }
    sharpen(bounds, near, far);
    bounds.low = std::max(0.0F, bounds.low - to_float(kDoubt * center.error));
    bounds.high += to_float(kDoubt * center.error);
    return bounds;
}

// Halves bounds of the distance of `share` by one block of the sample in four.
void TokenSampler::bracket(Guess& bounds, double share) const {
    const auto some = [this](float distance) {
        double sum = 0;
        for (std::size_t i = 0; i < sample_masses_.size(); i += 4 * kChunk) {
            sum += vector_loops().kept(&sample_nearness_[i], &sample_masses_[i], -distance);
        }
        return sum;
    };
    const double all = some(kInfinity);
    const double coarse = std::min(kCoarse, (1 - share) / 2) * all;
    double below = 0;
    double above = all;
    for (int i = 0; i < kBisections && above - below > coarse; ++i) {
        const float middle = bounds.low + (bounds.high - bounds.low) / 2;
        const double mass = some(middle);
        (mass < share * all ? bounds.low : bounds.high) = middle;
        (mass < share * all ? below : above) = mass;
    }
}

// Nearer bounds of sums from `near` to `far`, by halving with what of the sample is between.
void TokenSampler::sharpen(Guess& bounds, double near, double far) {
    const double nearer = bounds.low > 0 ? sampled(sample_masses_, bounds.low) : 0;
    const float nearest = bounds.low > 0 ? -bounds.low : kInfinity;
    part_nearness_.clear();
    part_masses_.clear();
    for (std::size_t i = 0; i < sample_masses_.size(); i += kChunk) {
        const std::size_t n = vector_loops().band(&sample_nearness_[i], -bounds.high, nearest,
                                                  positions_.data());
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t at = i + static_cast<std::size_t>(positions_[k]);
            part_nearness_.push_back(sample_nearness_[at]);
            part_masses_.push_back(sample_masses_[at]);
        }
    }
    const std::size_t padded = (part_nearness_.size() + kChunk - 1) / kChunk * kChunk;
    part_nearness_.resize(padded, -kInfinity);
    part_masses_.resize(padded);
    Guess low = bounds;
    Guess high = bounds;
    halve(low, near - nearer);
    halve(high, far - nearer);
    bounds = {low.low, std::nextafter(high.high, kInfinity)};
}

// Halves bounds of the distance at which the sum of part_masses_ reaches `target`.
void TokenSampler::halve(Guess& bounds, double target) const {
    for (int i = 0; i < kHalvings; ++i) {
        const float middle = bounds.low + (bounds.high - bounds.low) / 2;
        (up_to(part_nearness_, part_masses_, middle) < target ? bounds.low : bounds.high) = middle;
    }
}

// part_* and band_* = the tokens that weigh() found in its ring; returns how many.
std::size_t TokenSampler::list_band(double center) {
    part_nearness_.clear();  // values first
    std::size_t n = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        const float* values = chunk_values(chunk);
        const bool patched = !patches_of(chunk).empty();
        band_start_[chunk] = n;
        if (part_nearness_.size() < n + kChunk) {
            band_ids_.resize(2 * n + kChunk);
            part_nearness_.resize(2 * n + kChunk);
        }
        for (std::size_t word = 0; word < kChunkWords; word += 2) {
            const std::uint32_t* at = &ring_bits_[chunk * kChunkWords + word];
            std::uint64_t bits = at[0] | static_cast<std::uint64_t>(at[1]) << 32;
            for (; bits != 0; bits &= bits - 1) {
                const auto place = static_cast<std::size_t>(std::countr_zero(bits)) + word * 32;
                band_ids_[n] = static_cast<std::int32_t>(chunk * kChunk + place);
                part_nearness_[n] = patched ? value_of(band_ids_[n]) : values[place];
                ++n;
            }
        }
    }
    band_start_[n_chunks_] = n;
    const std::size_t padded = (n + kChunk - 1) / kChunk * kChunk;
    part_nearness_.resize(n);
    part_nearness_.resize(padded, -kInfinity);
    part_masses_.resize(padded);
    for (std::size_t i = 0; i < padded; i += kChunk) {
        vector_loops().weigh(&part_nearness_[i], how_, &part_masses_[i]);
    }
    const float c = to_float(center);
    for (float& value : part_nearness_) {
        value = -std::abs(value - c);
    }
    return n;
}

// Where the sum of the listed band's masses, nearest first, reaches `target`, about between
// `bounds`; chunk_mass_ is then the mass of that and of what is nearer than the band.
TokenSampler::Ring TokenSampler::settle(double center, double target, Guess bounds) {
    const auto sum = [this](float distance) {
        return up_to(part_nearness_, part_masses_, distance);
    };
    float step = std::isinf(bounds.high) ? to_float(heat_) : bounds.high - bounds.low;
    bounds.high = std::isinf(bounds.high) ? bounds.low + step : bounds.high;
    for (; bounds.high < FLT_MAX && sum(bounds.high) < target; step *= 2) {
        bounds.high = std::min(bounds.high + step, FLT_MAX);
    }
    for (; bounds.low >= 0 && sum(bounds.low) >= target; step *= 2) {
        bounds.low -= step;
    }
    halve(bounds, target);
    target -= sum(bounds.low);
    scratch_.clear();
    for (std::size_t i = 0; i < part_nearness_.size(); i += kChunk) {
        const std::size_t n = vector_loops().band(&part_nearness_[i], -bounds.high, -bounds.low,
                                                  positions_.data());
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t at = i + static_cast<std::size_t>(positions_[k]);
            const float value = value_of(band_ids_[at]);
            scratch_.push_back({band_ids_[at], value, -std::abs(value - center), part_masses_[at]});
        }
    }
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        double mass = chunk_near_[chunk];
        for (std::size_t i = band_start_[chunk]; i < band_start_[chunk + 1]; ++i) {
            mass += part_nearness_[i] >= -bounds.low ? part_masses_[i] : 0;
        }
        chunk_mass_[chunk] = mass;
    }
    band_ = scratch_;
    const Candidate end = prefix_end(scratch_, target);
    for (const Candidate& item : band_) {
        if (!before(end, item)) {
            chunk_mass_[static_cast<std::size_t>(item.token_id) / kChunk] += item.mass;
        }
    }
    return {center, -end.order, end.token_id};
}

// Where to look next: the end was not between `tried`. `known`: distances that it was found to be
// between; `beyond`: it is farther than what was tried, else nearer.
TokenSampler::Guess TokenSampler::next_guess(Guess& known, const Guess& tried, bool beyond,
                                             float width, float margin) {
    if (beyond) {
        known.low = std::max(known.low, tried.high - margin);
    } else {
        known.high = std::min(known.high, tried.low + margin);
    }
    if (!std::isinf(known.high) && known.low > 0) {
        return known;
    }
    return beyond ? Guess{known.low, known.low + width}
                  : Guess{std::max(0.0F, known.high - width), known.high};
}

// Do the tokens of `least` or more seem to have the share of the mass, and are they few? By the
// greatest of each group of 32: the others of a group weigh a few times that at most, as a rule.
bool TokenSampler::is_peaked(float least, double share) {
    how_ = {max_, to_float(1 / heat_), floor_};
    std::size_t n_above = 0;
    for (const float value : lane_max_) {
        n_above += value >= least ? 1 : 0;
    }
    if (n_above > kFewGroups) {
        return false;
    }
    double all = 0;
    double above = 0;
    for (std::size_t i = 0; i < lane_max_.size(); i += kChunk) {
        all += vector_loops().weigh(&lane_max_[i], how_, masses_.data());
        above += vector_loops().kept(&lane_max_[i], masses_.data(), least);
    }
    return above >= share * (above + kRestOfGroup * (all - above));
}

// What nearest() finds, from a list of the tokens of `least` or more; false: it is not all there.
bool TokenSampler::nearest_listed(Step step, float least, double share, Ring& ring) {
    const bool typical = step == Step::typical_p;
    const double total = weigh(typical ? kMoment : kNothing);
    const double center = typical ? how_.max + moment_ / total : max_;
    list_above(least);
    double sum = 0;
    for (std::size_t first = 0; first < listed_.size(); first += kChunk) {
        const std::size_t n = std::min(listed_.size() - first, kChunk);
        std::fill(values_.begin(), values_.end(), -kInfinity);
        for (std::size_t i = 0; i < n; ++i) {
            values_[i] = listed_[first + i].value;
        }
        sum += vector_loops().weigh(values_.data(), how_, masses_.data());
        for (std::size_t i = 0; i < n; ++i) {
            Candidate& item = listed_[first + i];
            item.order = -std::abs(item.value - center);
            item.mass = masses_[i];
        }
    }
    if (sum < share * total) {
        return false;
    }
    scratch_ = listed_;
    const Candidate end = prefix_end(scratch_, share * total);
    ring = {center, -end.order, end.token_id};
    if (center - ring.radius < least) {  // as near ones may be among the lesser
        return false;
    }
    std::fill(chunk_mass_.begin(), chunk_mass_.end(), 0.0);
    for (const Candidate& item : listed_) {
        if (!before(end, item)) {
            chunk_mass_[static_cast<std::size_t>(item.token_id) / kChunk] += item.mass;
        }
    }
    band_ = listed_;
    return true;
}

// What top-p or typical-p keeps; chunk_mass_ is then its mass. Surprise less entropy is (mean
// logit - logit) / temperature: typical tokens are near the mean.
TokenSampler::Ring TokenSampler::nearest(Step step) {
    const bool typical = step == Step::typical_p;
    const double share = typical ? settings_.typical_p : settings_.top_p;
    const float least = to_float(max_ - kPeak * heat_);
    Ring found;
    if (is_peaked(least, share) && nearest_listed(step, least, share, found)) {
        return found;
    }
    take_sample();
    Mean center = typical ? sampled_mean() : Mean{max_, 0};
    const float margin = to_float(4 * FLT_EPSILON * std::max(1.0, std::abs(center.value)));
    Guess bounds = guess(center, share);
    Guess known;
    float width = std::max(4 * (bounds.high - bounds.low), to_float(heat_ / 16));
    for (int i = 0;; ++i) {
        const bool last = i == kGuesses;
        bounds = last ? Guess{} : bounds;
        aim(center.value, bounds);
        const double total = weigh(typical ? kAround : kBelow);
        const double exact = typical ? how_.max + moment_ / total : max_;
        const double shift = std::abs(exact - how_.center);
        const double near = std::accumulate(chunk_near_.begin(), chunk_near_.end(), 0.0);
        const double left = share * total - near;
        const bool some = list_band(exact) > 0;
        const bool beyond = left > up_to(part_nearness_, part_masses_, kInfinity);
        const bool between = left > 0 && !beyond;
        if (some && (last || between)) {
            const Ring ring = settle(exact, left, bounds);
            const bool inside = (bounds.low == 0 || ring.radius >= bounds.low + shift) &&
                                ring.radius <= bounds.high - shift;
            if (last || !typical || inside) {
                return ring;
            }
        }
        if (shift > margin) {  // the center was an estimate
            center = {exact, 0};
            bounds = guess(center, share);
        } else if (!between) {
            bounds = next_guess(known, bounds, beyond || !some, width, margin);
            width *= 4;
        }
        bounds = {std::max(0.0F, bounds.low - margin), bounds.high + margin};
    }
}

// Sets the ring that weigh() looks for. A difference may have been rounded to a token's logit,
// so the next float32 is taken.
void TokenSampler::aim(double center, const Guess& bounds) {
    how_.center = to_float(center);
    how_.low = bounds.low;
    how_.high = bounds.high;
    how_.inner = bounds.low > 0 ? to_float(center - bounds.low) : kInfinity;
    how_.inner = std::nextafter(how_.inner, kInfinity);
    how_.outer = std::nextafter(to_float(center - bounds.high), -FLT_MAX);
}

}  // namespace constrain
