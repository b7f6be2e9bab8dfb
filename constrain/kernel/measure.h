// What one row of logits says: entropies, and the likeliest tokens on both sides of the mask.
//
// Idea: two passes over the row with the vector loops of the sampler, and no sort. The first
// keeps the greatest logit of each chunk of 512 tokens, for the allowed tokens and for the
// forbidden ones. Then n chunks can hold all n greatest tokens of a side: the n-th greatest
// chunk maximum is a lower bound for them, and only chunks that reach it are searched. The
// second pass sums the weights w = e^(x - m) and the moments w (x - m), from which the entropy
// is H = log sum w - (sum w (x - m)) / sum w, in nats. It is taken once over all tokens and once
// over the allowed ones, each from its own maximum, and skips chunks whose weights are all 0.
//
// Cost: O(n_vocab) vector loops, O(n) chunks searched; figures in constrain/logprobs/measure.py.
// Dropped: numpy, with the same chunk maxima (1.3 ms for 49 152 tokens, 3.6 ms for 128 256: each
// temporary array is written to memory once more).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace constrain {

struct RankedToken {
    std::int32_t token_id = 0;
    double logprob = 0;         // over all tokens
    double masked_logprob = 0;  // over the allowed ones; -inf if it is forbidden
};

struct RowMeasure {
    bool has_nan = false;
    bool has_allowed = false;  // an allowed token has a logit above -inf; else nothing is set
    double entropy = 0;
    double masked_entropy = 0;
    std::vector<RankedToken> allowed;    // greatest first, of equals the lower id
    std::vector<RankedToken> forbidden;  // the same; a logit of -inf is on neither list
};

// logits: n_vocab of them; words: (n_vocab + 31) / 32, bit i of word w = token 32 * w + i
// allowed, bits past n_vocab ignored; n: how many tokens each list may hold.
RowMeasure measure_row(const float* logits, const std::uint32_t* words, std::size_t n_vocab,
                       std::size_t n);

}  // namespace constrain
