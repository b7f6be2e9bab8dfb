// What was written before, as changes of logits: biases, penalties, DRY, bans.
#include "sampler.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <numeric>
#include <unordered_map>

namespace constrain {
namespace {

constexpr std::size_t kFewEdits = 128;  // are sorted by comparing

bool holds(const std::vector<std::uint32_t>& words, std::int32_t id) {
    return !words.empty() && (words[static_cast<std::size_t>(id) / 32] >> (id % 32) & 1U) != 0;
}

// z[k] = how many tokens the end of `history` has in common with the end of what stands k
// tokens before it. Source: the Z-algorithm (Gusfield, Algorithms on strings, trees and
// sequences, 1997, section 1.4) on the reversed history; O(n).
std::vector<std::size_t> common_ends(std::span<const std::int32_t> history) {
    const std::size_t n = history.size();
    const auto back = [&](std::size_t i) { return history[n - 1 - i]; };
    std::vector<std::size_t> z(n, 0);
    std::size_t begin = 0;
    std::size_t end = 0;  // [begin, end) matches [0, end - begin)
    for (std::size_t k = 1; k < n; ++k) {
        std::size_t length = k < end ? std::min(z[k - begin], end - k) : 0;
        while (k + length < n && back(length) == back(k + length) && back(length) >= 0) {
            ++length;
        }
        z[k] = length;
        if (k + length > end) {
            begin = k;
            end = k + length;
        }
    }
    return z;
}

}  // namespace

std::vector<LogitEdit> dry_edits(std::span<const std::int32_t> history, std::size_t limit,
                                 const SamplingSettings& settings) {
    const auto allowed = static_cast<std::size_t>(settings.dry_allowed_length);
    std::vector<LogitEdit> edits;
    if (settings.dry_multiplier == 0 || history.size() <= allowed || limit < allowed) {
        return edits;
    }
    const std::vector<std::size_t> z = common_ends(history);
    std::unordered_map<std::int32_t, std::size_t> longest;
    for (std::size_t k = 1; k < history.size(); ++k) {
        const std::size_t length = std::min(z[k], limit);
        const std::int32_t next = history[history.size() - k];
        if (length >= allowed && next >= 0) {
            std::size_t& best = longest[next];
            best = std::max(best, length);
        }
    }
    for (const auto& [token_id, length] : longest) {
        const double penalty = settings.dry_multiplier *
                               std::pow(settings.dry_base, static_cast<double>(length - allowed));
        edits.push_back({token_id, 0, 0, static_cast<float>(std::min<double>(penalty, FLT_MAX))});
    }
    return edits;
}

float TokenSampler::patched(const LogitEdit* first, const LogitEdit* last) const {
    float value = logits_[first->token_id];
    std::int32_t count = 0;
    float dry = 0;
    for (const LogitEdit* edit = first; edit != last; ++edit) {
        value += edit->add;
        count += edit->seen;
        dry += edit->dry;
    }
    if (count > 0) {
        value = value <= 0 ? value * settings_.repeat_penalty : value / settings_.repeat_penalty;
        value -= static_cast<float>(count) * settings_.frequency_penalty +
                 settings_.presence_penalty;
    }
    return holds(dry_spared_, first->token_id) ? value : value - dry;
}

// One edit for each token of the history; O(history), whatever its length.
void TokenSampler::count_history(std::span<const std::int32_t> history) {
    if (history.empty()) {
        return;
    }
    std::for_each(history.begin(), history.end(), [this](std::int32_t id) { check_id(id); });
    counts_.resize(n_vocab_);
    for (const std::int32_t id : history) {
        ++counts_[static_cast<std::size_t>(id)];
    }
    for (const std::int32_t id : history) {
        std::int32_t& count = counts_[static_cast<std::size_t>(id)];
        if (count > 0) {
            edits_.push_back({id, 0, count, 0});
            count = 0;
        }
    }
}

// By id; addends of one token stay in the order they were given.
void TokenSampler::sort_edits() {
    const auto by_id = [](const LogitEdit& a, const LogitEdit& b) {
        return a.token_id < b.token_id;
    };
    if (edits_.size() < kFewEdits) {
        std::stable_sort(edits_.begin(), edits_.end(), by_id);
    } else if (!std::is_sorted(edits_.begin(), edits_.end(), by_id)) {
        distribute(kChunk, [](std::size_t id) { return id % kChunk; });
        distribute(n_chunks_, [](std::size_t id) { return id / kChunk; });
    }
}

// One pass of a radix sort: stable, by the digit that `digit` takes from an id.
template <typename Digit>
void TokenSampler::distribute(std::size_t n_digits, Digit digit) {
    digit_ends_.assign(n_digits + 1, 0);
    for (const LogitEdit& edit : edits_) {
        ++digit_ends_[digit(static_cast<std::size_t>(edit.token_id)) + 1];
    }
    std::partial_sum(digit_ends_.begin(), digit_ends_.end(), digit_ends_.begin());
    sorted_edits_.resize(edits_.size());
    for (const LogitEdit& edit : edits_) {
        sorted_edits_[digit_ends_[digit(static_cast<std::size_t>(edit.token_id))]++] = edit;
    }
    edits_.swap(sorted_edits_);
}

void TokenSampler::make_patches(const StepInput& input) {
    forget_patches();
    edits_.assign(bias_.begin(), bias_.end());
    for (const LogitEdit& edit : input.bias) {
        check_id(edit.token_id);
        edits_.push_back(edit);
    }
    count_history(input.history);
    for (const LogitEdit& edit : dry_edits(input.dry, input.dry_limit, settings_)) {
        check_id(edit.token_id);
        edits_.push_back(edit);
    }
    sort_edits();
    std::size_t chunk = 0;
    for (std::size_t i = 0; i < edits_.size();) {
        const std::int32_t id = edits_[i].token_id;
        std::size_t end = i + 1;
        while (end < edits_.size() && edits_[end].token_id == id) {
            ++end;
        }
        if (is_left(id)) {
            const auto at = static_cast<std::size_t>(id);
            while (chunk < at / kChunk) {
                patch_start_[++chunk] = static_cast<std::uint32_t>(patches_.size());
            }
            patches_.push_back({id, patched(&edits_[i], edits_.data() + end)});
            patched_[at / 32] |= 1U << (at % 32);
        }
        i = end;
    }
    while (chunk < n_chunks_) {
        patch_start_[++chunk] = static_cast<std::uint32_t>(patches_.size());
    }
}

void TokenSampler::forget_patches() {
    for (const Patch& patch : patches_) {
        patched_[static_cast<std::size_t>(patch.token_id) / 32] = 0;
    }
    patches_.clear();
    std::fill(patch_start_.begin(), patch_start_.end(), 0U);
}

// From here on own_ is the mask, and its bits may be cleared.
void TokenSampler::own_words() {
    if (owned_) {
        return;
    }
    own_.resize(n_chunks_ * kChunkWords);
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        const std::uint32_t* words = chunk_mask(chunk);
        std::copy(words, words + kChunkWords, &own_[chunk * kChunkWords]);
    }
    owned_ = true;
}

// Takes a token out. Maxima are kept right, and masses but for its chunk's.
void TokenSampler::strike(std::int32_t token_id) {
    if (!is_left(token_id)) {
        return;
    }
    const auto at = static_cast<std::size_t>(token_id);
    const float value = value_of(token_id);
    own_words();
    own_[at / 32] &= ~(1U << (at % 32));
    --n_left_;
    chunk_mass_[at / kChunk] = -1;
    if (value == lane_max_[at / kChunk * kLanes + at % kLanes]) {
        renew(at / kChunk);
    }
}

// Takes banned tokens out; whether there are any.
bool TokenSampler::ban(std::span<const std::int32_t> banned) {
    std::for_each(banned.begin(), banned.end(), [this](std::int32_t id) { check_id(id); });
    if (banned_.empty() && banned.empty()) {
        return false;
    }
    for (std::size_t i = 0; i < banned_.size(); ++i) {
        for (std::uint32_t bits = banned_[i]; bits != 0; bits &= bits - 1) {
            strike(static_cast<std::int32_t>(i * 32) + std::countr_zero(bits));
        }
    }
    std::for_each(banned.begin(), banned.end(), [this](std::int32_t id) { strike(id); });
    return true;
}

}  // namespace constrain
