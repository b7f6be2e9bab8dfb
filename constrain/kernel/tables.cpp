#include "tables.h"

namespace constrain {

namespace {

// Sets up to this size are lists: setting single bits costs more than merging a bitset beyond.
constexpr size_t kListed = 512;

}  // namespace

void TokenSet::add_to(uint64_t* mask) const {
  for (size_t i = 0; i < words.size(); ++i) mask[i] |= words[i];
  for (const uint32_t id : ids) mask[id >> 6] |= uint64_t{1} << (id & 63);
}

bool TokenSet::has(uint32_t token) const {
  if (!words.empty()) return words[token >> 6] >> (token & 63) & 1;
  return std::find(ids.begin(), ids.end(), token) != ids.end();
}

Tables::Tables(std::vector<std::string> tokens, ExprPool& pool)
    : tokens_(std::move(tokens)), pool_(pool) {
  std::vector<Trie::Entry> entries;
  for (uint32_t id = 0; id < tokens_.size(); ++id)
    if (!tokens_[id].empty()) {
      entries.push_back({tokens_[id], id});
      longest_ = std::max(longest_, static_cast<uint32_t>(tokens_[id].size()));
    }
  tries_.push_back(std::make_unique<Trie>(std::move(entries)));
  tries_[0]->record_subtree_bytes();
}

void Tables::clear() {
  tables_.clear();
  sets_.clear();
  families_.clear();
  differences_.clear();
  subtrees_.clear();
  landings_.clear();
  landing_keys_ = {};
  tries_.resize(1);
  memory_ = 0;
}

TokenSet Tables::packed(std::vector<uint32_t> ids) {
  TokenSet set;
  if (ids.size() > kListed) {
    set.words.assign(n_words(), 0);
    for (const uint32_t id : ids) set.words[id >> 6] |= uint64_t{1} << (id & 63);
  } else {
    set.ids = std::move(ids);
    set.ids.shrink_to_fit();
  }
  memory_ += set.bytes() + sizeof(LexemeTable);
  return set;
}

const TokenSet* Tables::make_set(std::vector<uint32_t> ids) {
  sets_.push_back(std::make_unique<TokenSet>(packed(std::move(ids))));
  return sets_.back().get();
}

TrieId Tables::make_trie(const std::vector<Exited>& exits, uint32_t tag) {
  std::vector<Trie::Entry> entries;
  for (const Exited& e : exits)
    if (e.tag == tag) entries.push_back({rest_of(e.token, e.rest), e.token});
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.token != b.token ? a.token < b.token : a.text.size() < b.text.size();
  });
  const auto same = [](const auto& a, const auto& b) {
    return a.token == b.token && a.text.size() == b.text.size();
  };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  tries_.push_back(std::make_unique<Trie>(std::move(entries)));
  memory_ += tries_.back()->bytes();
  return static_cast<TrieId>(tries_.size() - 1);
}

TrieId Tables::subtree(TrieId trie, uint32_t node) {
  const uint64_t key = uint64_t{trie} << 32 | node;
  const auto known = subtrees_.find(key);
  if (known != subtrees_.end()) return known->second;
  tries_.push_back(std::make_unique<Trie>(*tries_[trie], node));
  memory_ += tries_.back()->bytes();
  return subtrees_[key] = static_cast<TrieId>(tries_.size() - 1);
}

// The walk of a tree under one expression, depth first without recursion.
struct Tables::Walk {
  std::vector<uint32_t> inside;
  std::vector<Exited> exited;
  std::vector<ExprId> states;    // states[d]: after d bytes
  std::vector<uint32_t> ended;   // depths at which the lexeme may have ended, ascending
  uint32_t max_rest = 0;
  ExprId measured = kNone;       // the state that max_rest was last raised for
};

// The lexeme is over at `node`: its tokens leave it at each depth where it had ended.
void Tables::add_exits(const Trie& trie, uint32_t node, const Walk& walk,
                       std::vector<Exited>& out) {
  for (uint32_t at = node; at < trie.end(node); ++at) {
    for (const uint32_t* t = trie.tokens_begin(at); t != trie.tokens_end(at); ++t) {
      for (const uint32_t depth : walk.ended) {
        uint64_t tags = pool_.tags(walk.states[depth]);
        for (uint32_t tag = 0; tags; tags >>= 1, ++tag)
          if (tags & 1) out.push_back({tag, *t, trie.depth(at) - depth});
      }
    }
  }
}

void Tables::walk(const Trie& trie, ExprId q, bool want_exits, Walk& out) {
  out.states.assign(1, q);
  const bool skip = trie.has_subtree_bytes();
  const bool measured = pool_.node(q).kind == ExprKind::kQuoted;
  const auto measure = [&](ExprId state) {
    if (!measured || state == out.measured) return;
    out.measured = state;
    out.max_rest = std::max(out.max_rest, pool_.min_length(state, 0));
  };
  for (uint32_t node = 1; node < trie.size();) {
    const uint32_t depth = trie.depth(node);
    out.states.resize(depth);
    while (!out.ended.empty() && out.ended.back() >= depth) out.ended.pop_back();
    const ExprId state = pool_.next(out.states.back(), trie.byte(node));
    if (state == ExprPool::kEmptyExpr) {
      if (want_exits && !out.ended.empty()) add_exits(trie, node, out, out.exited);
      node = trie.end(node);
      continue;
    }
    // Most bytes of most tokens lead nowhere new: take such subtrees whole.
    if (skip && trie.end(node) - node > 4 && state == out.states.back() &&
        trie.subtree_bytes(node).subset_of(pool_.self_loop(state))) {
      out.inside.insert(out.inside.end(), trie.tokens_begin(node), trie.subtree_end(node));
      measure(state);
      node = trie.end(node);
      continue;
    }
    if (trie.tokens_begin(node) != trie.tokens_end(node)) measure(state);
    out.inside.insert(out.inside.end(), trie.tokens_begin(node), trie.tokens_end(node));
    out.states.push_back(state);
    if (pool_.tags(state)) out.ended.push_back(depth);
    ++node;
  }
}

LexemeTable& Tables::general(TrieId id, ExprId q, bool want_exits) {
  const uint64_t key = uint64_t{id} << 32 | q;
  LexemeTable& table = tables_[key];
  if (table.inside && (table.has_exits || !want_exits)) return table;
  Walk result;
  walk(*tries_[id], q, want_exits, result);
  if (!table.inside) table.inside = make_set(std::move(result.inside));
  if (pool_.node(q).kind == ExprKind::kQuoted) table.max_rest = result.max_rest;
  if (want_exits) {
    uint64_t tags = 0;
    for (const Exited& e : result.exited) tags |= uint64_t{1} << e.tag;
    for (uint32_t tag = 0; tags; tags >>= 1, ++tag)
      if (tags & 1) table.exits.push_back({tag, make_trie(result.exited, tag)});
    table.has_exits = true;
    if (id == kVocabulary) {
      std::sort(result.exited.begin(), result.exited.end());
      table.exited = std::move(result.exited);
    }
  }
  return table;
}

Tables::CountedString& Tables::family_of(ExprId character, uint32_t mode) {
  auto& slot = families_[uint64_t{character} << 8 | mode];
  if (slot) return *slot;
  slot = std::make_unique<CountedString>();
  const ExprId body = pool_.quoted_rest(pool_.repeat(character, 0, kInfinite),
                                        static_cast<EscapeMode>(mode));
  const Trie& trie = *tries_[kVocabulary];
  std::vector<ExprId> states{body};
  std::vector<uint32_t> counts{0};  // characters completed after d bytes
  for (uint32_t node = 1; node < trie.size();) {
    const uint32_t depth = trie.depth(node);
    states.resize(depth);
    counts.resize(depth);
    const ExprId state = pool_.next(states.back(), trie.byte(node));
    const uint32_t count = counts.back() + (state == body);
    if (state == ExprPool::kEmptyExpr) {
      node = trie.end(node);
      continue;
    }
    if (pool_.is_final(state)) {  // the closing quotation mark
      for (uint32_t at = node; at < trie.end(node); ++at)
        for (const uint32_t* t = trie.tokens_begin(at); t != trie.tokens_end(at); ++t)
          slot->crossing.push_back({count, *t, trie.depth(at) - depth});
      slot->max_crossing = std::max(slot->max_crossing, count);
      node = trie.end(node);
      continue;
    }
    // A token that stops inside a character needs room for it.
    const uint32_t needed = count + (state == body ? 0 : 1);
    for (const uint32_t* t = trie.tokens_begin(node); t != trie.tokens_end(node); ++t) {
      slot->inside.push_back({needed, *t});
      slot->max_inside = std::max(slot->max_inside, needed);
    }
    states.push_back(state);
    counts.push_back(count);
    ++node;
  }
  memory_ += slot->inside.size() * sizeof(CountedString::Inside);
  return *slot;
}

const LexemeTable& Tables::counted(CountedString& family, uint32_t min, uint32_t max) {
  min = std::min(min, family.max_crossing + 1);
  max = std::min(max, std::max(family.max_inside, family.max_crossing));
  LexemeTable& table = family.tables[uint64_t{min} << 32 | max];
  if (table.has_exits) return table;
  std::vector<Exited> exits;
  std::vector<uint32_t> closing;  // tokens that end with the quotation mark
  for (const auto& c : family.crossing) {
    if (c.n_chars < min || c.n_chars > max) continue;
    if (c.rest) exits.push_back({0, c.token, c.rest});
    else closing.push_back(c.token);
  }
  std::vector<uint32_t> ids = std::move(closing);
  for (const auto& i : family.inside)
    if (i.n_chars <= max) ids.push_back(i.token);
  table.inside = make_set(std::move(ids));
  if (!exits.empty()) table.exits.push_back({0, make_trie(exits, 0)});
  table.has_exits = true;
  return table;
}

const LexemeTable& Tables::table(TrieId trie, ExprId q, bool want_exits) {
  if (trie == kVocabulary) {
    const auto known = tables_.find(q);
    if (known != tables_.end() && (known->second.has_exits || !want_exits)) return known->second;
    const Expr& e = pool_.node(q);
    if (e.kind == ExprKind::kQuoted && e.b == kNoEscape &&
        pool_.node(e.a).kind == ExprKind::kRepeat && pool_.is_character(pool_.node(e.a).a)) {
      const Expr repeated = pool_.node(e.a);
      return tables_[q] = counted(family_of(repeated.a, e.c), repeated.b, repeated.c);
    }
    if (e.kind == ExprKind::kQuoted && e.b == kNoEscape && pool_.takes_any_beginning(e.a)) {
      const Expr any = pool_.node(
          pool_.any_text(e.c ? Universe::kAny : Universe::kMinimal));
      if (any.kind == ExprKind::kRepeat) return tables_[q] = searching(q, family_of(any.a, e.c));
    }
    if (const LexemeTable* same = unlimited(q)) return tables_[q] = *same;
    if (is_wide(q)) {
      const ExprId low = pool_.rounded(q, false), high = pool_.rounded(q, true);
      if (low != q && high != q && low != ExprPool::kEmptyExpr) return between(q, low, high);
    }
  }
  return general(trie, q, want_exits);
}

}  // namespace constrain
