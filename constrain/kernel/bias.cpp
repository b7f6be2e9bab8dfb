// Log-space weights of alternatives, pushed forward along their texts.
//
// While several texts of a lexeme are still possible the state is worth its best one; a token is
// biased by what it changes of that, so along any path the biases add up to the weight of the
// text chosen less the weight of the best one. Tokens that end a lexeme and begin another are
// followed through the exits of the lexeme tables, as for masks; grammars without weights cost
// nothing. Where several threads allow a token, it is worth the best of them.
//
// Items of unique arrays are not weighed: which texts are left depends on the items before.
#include "mask.h"

namespace constrain {

namespace {

constexpr size_t kMany = 1024;

void add_words(const std::vector<uint64_t>& mask, float value,
               Biases& out) {
  for (uint32_t w = 0; w < mask.size(); ++w)
    for (uint64_t word = mask[w]; word; word &= word - 1)
      out.emplace_back(w * 64 + static_cast<uint32_t>(__builtin_ctzll(word)), value);
}

}  // namespace

// Each token once, with its greatest bias, ascending.
void Masker::keep_best(Biases& biases) const {
  if (biases.size() > kMany) {  // up to the whole vocabulary: sorting would take milliseconds
    constexpr float kNothing = -std::numeric_limits<float>::infinity();
    std::vector<float> best(tables_.n_tokens() + 1, kNothing);  // the end is the last
    for (const auto& [token, value] : biases) {
      float& known = best[std::min(token, tables_.n_tokens())];
      known = std::max(known, value);
    }
    biases.clear();
    for (uint32_t t = 0; t < best.size(); ++t)
      if (best[t] != kNothing) biases.emplace_back(t == tables_.n_tokens() ? kNone : t, best[t]);
    return;
  }
  std::sort(biases.begin(), biases.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  });
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  biases.erase(std::unique(biases.begin(), biases.end(), same), biases.end());
}

// The tokens of the tree that the thread allows, and those that need a look at the whole text.
std::vector<uint64_t> Masker::reach(TrieId id, const Thread& thread) {
  std::vector<uint64_t> mask(tables_.n_words());
  Threads alone;
  alone.push_back(thread);
  Masker other(machine_, tables_);
  other.fill_from(id, alone, mask.data());
  for (const uint32_t token : other.uncertain_) mask[token >> 6] |= uint64_t{1} << (token & 63);
  return mask;
}

// Every token of the tree that the thread allows: `base`, or more by what it adds.
void Masker::weigh_all(TrieId id, const Thread& thread, float base, Biases& out) {
  if (thread.lexeme == kFinished) return;
  Biases found;
  weigh(id, thread, base, found);
  std::vector<uint64_t> mask = reach(id, thread);
  for (const auto& [token, value] : found) mask[token >> 6] &= ~(uint64_t{1} << (token & 63));
  add_words(mask, base, found);
  out.insert(out.end(), found.begin(), found.end());
}

// Tokens of what may follow a lexeme. Where several threads do, each must list all that it allows
// as soon as one lists any: a token is worth the best of them.
void Masker::weigh_after(TrieId rest, const Threads& after, float base, Biases& out) {
  const std::vector<float> changes = settled(after);
  Biases found;
  for (size_t i = 0; i < after.size(); ++i)
    if (changes[i] == 0.0f) weigh(rest, after[i], base, found);
    else weigh_all(rest, after[i], base + changes[i], found);
  if (after.size() > 1 && !found.empty()) {
    found.clear();
    for (size_t i = 0; i < after.size(); ++i) weigh_all(rest, after[i], base + changes[i], found);
  }
  out.insert(out.end(), found.begin(), found.end());
}

// The tokens of the tree that reach a weighted lexeme.
void Masker::weigh(TrieId id, const Thread& thread, float base, Biases& out) {
  if (thread.lexeme == kFinished || is_tracked(thread.lexeme)) return;
  if (thread.lexeme & kKeyBit) {
    weigh_key(id, thread, base, out);
    return;
  }
  if (machine_.begins_unknown(thread)) return;
  const Cell cell = machine_.arena().cells[thread.cell];
  if (is_between_members(thread) || machine_.program().pool.is_weighted(thread.lexeme)) {
    weigh_lexeme(id, thread, base, out);
    return;
  }
  if (cell.kind == FrameKind::kRoot) return;
  const LexemeTable& table = tables_.table(id, thread.lexeme, true);
  const TokenSet& inside = *table.inside;
  const std::vector<LexemeTable::Exit> exits = table.exits;
  Biases found;
  for (const LexemeTable::Exit& exit : exits) {
    Threads after;
    machine_.finish(thread.cell, exit.tag, after);
    weigh_after(exit.trie, after, base, found);
  }
  for (const auto& [token, value] : found)  // it may stay in this lexeme just as well
    out.emplace_back(token, inside.has(token) ? std::max(value, base) : value);
}

// Does the thread stand before or after a member of an object whose properties have weights?
bool Masker::is_between_members(const Thread& thread) const {
  const Cell cell = machine_.arena().cells[thread.cell];
  return cell.kind == FrameKind::kObject &&
         (cell.phase == Phase::kFirst || cell.phase == Phase::kAfter) &&
         machine_.program().objects[cell.node].weighted;
}

// All tokens that the lexeme allows, followed byte by byte.
void Masker::weigh_lexeme(TrieId id, const Thread& thread, float base, Biases& out) {
  ExprPool& pool = machine_.program().pool;
  const bool between = is_between_members(thread);
  const Cell cell = machine_.arena().cells[thread.cell];
  const auto best_of = [&](ExprId state) {
    return between ? machine_.weight_between(cell, state) : pool.best_weight(state);
  };
  const float present = best_of(thread.lexeme);
  std::vector<std::pair<uint32_t, ExprId>> pending{{0, thread.lexeme}};
  while (!pending.empty()) {
    const auto [at, from] = pending.back();
    pending.pop_back();
    const Trie& trie = tables_.trie(id);
    for (const uint32_t* c = trie.children_begin(at); c != trie.children_end(at); ++c) {
      const ExprId state = pool.next(from, trie.byte(*c));
      if (state == ExprPool::kEmptyExpr) continue;
      const bool closes = !between && pool.only_closes(state);
      const float worth = closes ? base : base + best_of(state) - present;
      for (const uint32_t* t = trie.tokens_begin(*c); t != trie.tokens_end(*c); ++t)
        out.emplace_back(*t, worth);
      if (trie.end(*c) == *c + 1) continue;
      for (uint64_t tags = pool.tags(state); tags; tags &= tags - 1) {
        const auto tag = static_cast<uint32_t>(__builtin_ctzll(tags));
        const float ended = between || closes
                                ? worth
                                : base + pool.own_weight(state, tag) - present;
        const TrieId rest = tables_.subtree(id, *c);
        Threads after;
        machine_.finish(thread.cell, tag, after);
        const std::vector<float> changes = settled(after);
        for (size_t i = 0; i < after.size(); ++i)
          weigh_all(rest, after[i], ended + changes[i], out);
      }
      if (!pool.is_final(state)) pending.emplace_back(*c, state);
    }
  }
}

// Tokens that end a key and go on to its value.
void Masker::weigh_key(TrieId id, const Thread& thread, float base, Biases& out) {
  const Key key = machine_.arena().keys[thread.lexeme & ~kKeyBit];
  const Cell cell = machine_.arena().cells[thread.cell];
  std::vector<NameStep> closed;
  std::vector<uint64_t> scratch(tables_.n_words());
  Masker names(machine_, tables_);
  names.mask_ = scratch.data();
  names.find_names(id, key, cell, closed);
  if (machine_.program().objects[cell.node].weighted) {
    weigh_names(id, thread, base, out);
    return;
  }
  if (key.other != ExprPool::kEmptyExpr) {
    const std::vector<LexemeTable::Exit> exits = tables_.table(id, key.other, true).exits;
    Biases others;
    for (const LexemeTable::Exit& exit : exits) {
      Threads after;
      machine_.close_unnamed(thread.cell, exit.tag, after);
      weigh_after(exit.trie, after, base, others);
    }
    const Trie& trie = tables_.trie(id);
    for (const NameStep& step : closed)
      for (const uint32_t* t = trie.tokens_begin(step.node); t != trie.subtree_end(step.node); ++t)
        std::erase_if(others, [&](const auto& entry) { return entry.first == *t; });
    out.insert(out.end(), others.begin(), others.end());
  }
  for (const NameStep& step : closed) {
    if (tables_.trie(id).end(step.node) == step.node + 1) continue;
    Threads after;
    machine_.close_key(step.key, thread.cell, after);
    weigh_after(tables_.subtree(id, step.node), after, base, out);
  }
}

// All tokens of a key where properties have weights: along the names, then all others.
void Masker::weigh_names(TrieId id, const Thread& thread, float base, Biases& out) {
  const Key key = machine_.arena().keys[thread.lexeme & ~kKeyBit];
  const Cell cell = machine_.arena().cells[thread.cell];
  const ObjectSpec& spec = machine_.program().objects[cell.node];
  ExprPool& pool = machine_.program().pool;
  const Trie& trie = tables_.trie(id);
  const float start = base - machine_.weight_ahead(key, cell);
  Biases found;
  std::vector<NameStep> pending{{0, key}}, next;
  while (!pending.empty()) {
    const NameStep at = pending.back();
    pending.pop_back();
    weigh_named(id, at, thread.cell, start, found);
    next.clear();
    push_names(trie, at, spec, next);
    for (NameStep& step : next) {
      if (step.key.name == kNone) continue;
      if (!spec.may_run_out && step.key.other != ExprPool::kEmptyExpr)
        step.key.other = pool.next(step.key.other, trie.byte(step.node));
      const float worth = start + machine_.weight_ahead(step.key, cell);
      for (const uint32_t* t = trie.tokens_begin(step.node); t != trie.tokens_end(step.node); ++t)
        found.emplace_back(*t, worth);
      pending.push_back(step);
    }
  }
  if (key.other != ExprPool::kEmptyExpr)
    weigh_unnamed(id, thread, start + machine_.weight_with(cell, kNone), base, found);
  out.insert(out.end(), found.begin(), found.end());
}

// Tokens that end a declared name here.
void Masker::weigh_named(TrieId id, const NameStep& at, CellId cell, float start, Biases& out) {
  const ObjectSpec& spec = machine_.program().objects[machine_.arena().cells[cell].node];
  if (at.key.escape != kNoEscape || at.key.name == kNone) return;
  const NameTree::Node& name = spec.names.nodes[at.key.name];
  const Trie& trie = tables_.trie(id);
  const uint32_t quote = name.terminal ? trie.child(at.node, '"') : kNone;
  if (quote == kNone) return;
  const float with = start + machine_.weight_with(machine_.arena().cells[cell], name.lo);
  Threads after;
  machine_.close_key(at.key, cell, after);
  if (after.empty()) return;
  for (const uint32_t* t = trie.tokens_begin(quote); t != trie.tokens_end(quote); ++t)
    out.emplace_back(*t, with);
  if (trie.end(quote) == quote + 1) return;
  const TrieId rest = tables_.subtree(id, quote);
  for (const Thread& next : after) weigh_all(rest, next, with, out);
}

// All tokens of the key that are not in `out` yet: those of names that are not declared. Where
// they are worth `unlisted`, as what is not listed is, only those that add something.
void Masker::weigh_unnamed(TrieId id, const Thread& thread, float base, float unlisted,
                           Biases& out) {
  const Key key = machine_.arena().keys[thread.lexeme & ~kKeyBit];
  const std::vector<LexemeTable::Exit> exits = tables_.table(id, key.other, true).exits;
  Biases others;
  for (const LexemeTable::Exit& exit : exits) {
    Threads after;
    machine_.close_unnamed(thread.cell, exit.tag, after);
    weigh_after(exit.trie, after, base, others);
  }
  if (others.empty() && base == unlisted) return;
  std::vector<uint64_t> mask = reach(id, thread);
  const auto is_left = [&](uint32_t token) { return mask[token >> 6] >> (token & 63) & 1; };
  const auto forget = [&](const Biases& known) {
    for (const auto& [token, value] : known) mask[token >> 6] &= ~(uint64_t{1} << (token & 63));
  };
  forget(out);
  std::erase_if(others, [&](const auto& entry) { return !is_left(entry.first); });
  forget(others);
  out.insert(out.end(), others.begin(), others.end());
  if (base != unlisted) add_words(mask, base, out);
}

// The threads, by number, that follow a text which is complete with the thread.
std::vector<size_t> Masker::followers(const Threads& threads, size_t complete) {
  std::vector<size_t> found;
  Threads after;
  machine_.finish(threads[complete].cell, kTagScalar, after);
  for (const Thread& next : after) {
    const auto at = static_cast<size_t>(std::find(threads.begin(), threads.end(), next) -
                                        threads.begin());
    if (at != threads.size() && at != complete) found.push_back(at);
  }
  return found;
}

// What it changes to read on with each of the threads: what follows a weighted text that is
// complete and may still grow, or may be empty, settles for it.
std::vector<float> Masker::settled(const Threads& threads) {
  ExprPool& pool = machine_.program().pool;
  std::vector<float> changes(threads.size(), 0.0f);
  std::vector<size_t> complete;
  bool any = false;
  for (size_t i = 0; i < threads.size(); ++i) {
    const ExprId lexeme = threads[i].lexeme;
    if (lexeme >= kTrackBit || !(pool.tags(lexeme) >> kTagScalar & 1)) continue;
    complete.push_back(i);
    any |= pool.is_weighted(lexeme);
  }
  if (!any) return changes;
  constexpr float kUnknown = -std::numeric_limits<float>::infinity();
  std::vector<std::vector<size_t>> after(threads.size());
  for (const size_t i : complete) after[i] = followers(threads, i);
  for (const size_t i : complete)
    for (const size_t to : after[i]) changes[to] = kUnknown;
  // What follows a thread by way of an empty text follows that.
  const auto is_direct = [&](size_t from, size_t to) {
    return std::none_of(after[from].begin(), after[from].end(), [&](size_t by) {
      return by != to &&
             std::find(after[by].begin(), after[by].end(), to) != after[by].end() &&
             pool.is_weighted(threads[by].lexeme);
    });
  };
  for (bool changed = true; changed;) {  // ends, since nothing is won on the way
    changed = false;
    for (const size_t from : complete) {
      const ExprId lexeme = threads[from].lexeme;
      const float by =
          changes[from] + pool.own_weight(lexeme, kTagScalar) - pool.best_weight(lexeme);
      for (const size_t to : after[from]) {
        if (by <= changes[to] || !is_direct(from, to)) continue;
        changes[to] = by;
        changed = true;
      }
    }
  }
  std::replace(changes.begin(), changes.end(), kUnknown, 0.0f);
  return changes;
}

void Masker::biases(const Threads& threads, Biases& out) {
  out.clear();
  if (!machine_.program().weighted) return;
  const std::vector<float> changes = settled(threads);
  std::vector<uint64_t> unbiased(tables_.n_words()), mask(tables_.n_words());
  bool may_end = false;  // without a change
  for (size_t i = 0; i < threads.size(); ++i) {
    const Thread& thread = threads[i];
    if (thread.lexeme == kFinished) {
      may_end |= changes[i] == 0.0f;
      if (changes[i] != 0.0f) out.emplace_back(kNone, changes[i]);
      continue;
    }
    Biases found;
    if (changes[i] == 0.0f) weigh(Tables::kVocabulary, thread, 0.0f, found);
    else weigh_all(Tables::kVocabulary, thread, changes[i], found);
    if (threads.size() > 1) {
      Threads alone;
      alone.push_back(thread);
      Masker(machine_, tables_).fill(alone, mask.data());
      std::erase_if(found, [&](const auto& entry) {
        return !(mask[entry.first >> 6] >> (entry.first & 63) & 1);
      });
      for (const auto& [token, value] : found) mask[token >> 6] &= ~(uint64_t{1} << (token & 63));
      for (size_t w = 0; w < mask.size(); ++w) unbiased[w] |= mask[w];
    }
    out.insert(out.end(), found.begin(), found.end());
  }
  keep_best(out);
  std::erase_if(out, [&](const auto& entry) {
    if (entry.second >= 0.0f) return entry.second == 0.0f;
    if (entry.first == kNone) return may_end;
    return (unbiased[entry.first >> 6] >> (entry.first & 63) & 1) != 0;
  });
}

}  // namespace constrain
