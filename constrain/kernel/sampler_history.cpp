// What was written before, as changes of logits: biases, penalties, DRY, bans.
#include "sampler.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <unordered_map>

namespace constrain {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

void TokenSampler::make_patches(const StepInput& input) {
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
    patches_.clear();
    // Stable: addends of one token are added in the order they were given.
    std::stable_sort(edits_.begin(), edits_.end(), [](const LogitEdit& a, const LogitEdit& b) {
        return a.token_id < b.token_id;
    });
    for (std::size_t i = 0; i < edits_.size();) {
        const std::int32_t id = edits_[i].token_id;
        std::size_t end = i + 1;
        while (end < edits_.size() && edits_[end].token_id == id) {
            ++end;
        }
        const std::uint32_t* words = chunk_words(static_cast<std::size_t>(id) / kChunk);
        const std::size_t bit = static_cast<std::size_t>(id) % kChunk;
        if ((words[bit / 32] >> (bit % 32) & 1U) != 0) {
            patches_.push_back({id, patched(&edits_[i], edits_.data() + end)});
        }
        i = end;
    }
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

// Clears the bits of banned tokens; whether there are any.
bool TokenSampler::ban(std::span<const std::int32_t> banned) {
    std::for_each(banned.begin(), banned.end(), [this](std::int32_t id) { check_id(id); });
    if (banned_.empty() && banned.empty()) {
        return false;
    }
    own_words();
    for (std::size_t i = 0; i < banned_.size(); ++i) {
        own_[i] &= ~banned_[i];
    }
    for (const std::int32_t id : banned) {
        own_[static_cast<std::size_t>(id) / 32] &= ~(1U << (id % 32));
    }
    patches_.clear();
    infinite_ = false;
    rescan();
    return true;
}

// Maxima and number of what own_ still allows.
void TokenSampler::rescan() {
    n_left_ = 0;
    for (std::size_t chunk = 0; chunk < n_chunks_; ++chunk) {
        const std::uint32_t* words = chunk_words(chunk);
        const bool empty = std::all_of(words, words + kChunkWords,
                                       [](std::uint32_t word) { return word == 0; });
        if (empty) {
            chunk_max_[chunk] = -kInfinity;
            std::fill_n(&lane_max_[chunk * kLanes], kLanes, -kInfinity);
            continue;
        }
        load(chunk);
        const ChunkMaxima maxima =
            vector_loops().maxima(values_.data(), words, &lane_max_[chunk * kLanes]);
        chunk_max_[chunk] = maxima.allowed;
        n_left_ += maxima.n_allowed;
    }
    max_ = *std::max_element(chunk_max_.begin(), chunk_max_.end());
}

}  // namespace constrain
