// Log-space weights of alternatives, pushed forward along their texts.
//
// While several weighted texts are still possible the state is worth its best one; a token is
// biased by what it changes of that, so along any path the biases add up to the weight of the
// text chosen less the weight of the best one.
#include "mask.h"

namespace constrain {

namespace {

using Biases = std::vector<std::pair<uint32_t, float>>;

}  // namespace

// What may follow a weighted text within the trie: `base` for every token, or more by what a
// weighted text that follows adds.
void Masker::follow(TrieId id, const Threads& after, float base, Biases& out) {
  Threads plain;
  for (const Thread& next : after) {
    const bool lexeme = next.lexeme < kTrackBit;
    if (lexeme && machine_.program().pool.is_weighted(next.lexeme))
      weigh(id, next, base, out);
    else
      plain.push_back(next);
  }
  std::vector<uint64_t> mask(tables_.n_words());
  Masker(machine_, tables_).fill_from(id, plain, mask.data());
  for (uint32_t w = 0; w < tables_.n_words(); ++w)
    for (uint64_t word = mask[w]; word; word &= word - 1)
      out.emplace_back(w * 64 + static_cast<uint32_t>(__builtin_ctzll(word)), base);
}

void Masker::weigh_ended(TrieId id, uint32_t node, CellId cell, float base, Biases& out) {
  const Trie& trie = tables_.trie(id);
  for (const uint32_t* t = trie.tokens_begin(node); t != trie.tokens_end(node); ++t)
    out.emplace_back(*t, base);
  if (trie.end(node) == node + 1) return;
  Threads after;
  machine_.finish(cell, kTagScalar, after);
  follow(tables_.subtree(id, node), after, base, out);
}

void Masker::weigh(TrieId id, const Thread& thread, float base, Biases& out) {
  if (thread.lexeme >= kTrackBit) return;
  ExprPool& pool = machine_.program().pool;
  if (!pool.is_weighted(thread.lexeme)) return;
  const Trie& trie = tables_.trie(id);
  const float present = pool.best_weight(thread.lexeme);
  struct At {
    uint32_t node;
    ExprId state;
    float best;
  };
  std::vector<At> pending{{0, thread.lexeme, present}};
  while (!pending.empty()) {
    const At at = pending.back();
    pending.pop_back();
    for (const uint32_t* c = trie.children_begin(at.node); c != trie.children_end(at.node); ++c) {
      const ExprId state = pool.next(at.state, trie.byte(*c));
      if (state == ExprPool::kEmptyExpr) continue;
      const float ended = pool.end_weight(at.state, trie.byte(*c));
      if (pool.tags(state)) weigh_ended(id, *c, thread.cell, base + ended - present, out);
      if (pool.is_final(state)) continue;
      const float best = pool.best_weight(state);
      for (const uint32_t* t = trie.tokens_begin(*c); t != trie.tokens_end(*c); ++t)
        out.emplace_back(*t, base + best - present);
      pending.push_back({*c, state, best});
    }
  }
}

// A weighted text that is complete and may still grow: what follows it settles for it.
void Masker::weigh_stop(const Thread& thread, Biases& out) {
  ExprPool& pool = machine_.program().pool;
  if (thread.lexeme >= kTrackBit) return;
  if (!pool.is_weighted(thread.lexeme) || !pool.tags(thread.lexeme)) return;
  const float change = pool.own_weight(thread.lexeme) - pool.best_weight(thread.lexeme);
  Threads after;
  machine_.finish(thread.cell, kTagScalar, after);
  follow(Tables::kVocabulary, after, change, out);
  for (const Thread& next : after)
    if (next.lexeme == kFinished) out.emplace_back(kNone, change);
}

void Masker::biases(const Threads& threads, Biases& out) {
  out.clear();
  if (!machine_.program().pool.has_weights()) return;
  for (const Thread& thread : threads) {
    weigh(Tables::kVocabulary, thread, 0.0f, out);
    weigh_stop(thread, out);
  }
  // The same token may go several ways: it is worth the best of them.
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  });
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  out.erase(std::unique(out.begin(), out.end(), same), out.end());
  std::erase_if(out, [](const auto& entry) { return entry.second == 0.0f; });
}

}  // namespace constrain
