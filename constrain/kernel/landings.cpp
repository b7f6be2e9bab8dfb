// Where tokens leave a lexeme: the vocabulary in groups, by the states that lexemes are in then.
//
// Tokens of a group stay inside the lexemes and bring them into the same states, so whatever
// depends on the states alone (how much is needed to finish, above all) is asked once for all of
// them. Tokens after whose beginning a lexeme may have ended, and what follows go on, are in no
// group. In counted strings tokens that complete equally many characters are a group, whatever
// the bounds are; a bound that no token can come near is left out.
//
// Cost: one walk of the tree for each set of states, as for a table; 1 to 2 ms for 128 000 tokens
// when nearly all stay inside. Groups are kept with the tables.
#include "tables.h"

namespace constrain {

struct Tables::LandingWalk {
  const std::vector<LandingPart>& parts;
  ExprId counted;                // the state between characters that are counted, or kNone
  std::vector<ExprId> states{};  // after d bytes: one for each part
  std::vector<uint32_t> counts{};
  std::vector<uint32_t> group{}; // of the state after d bytes, kNone: not asked for yet
  std::vector<std::vector<uint32_t>> tokens{};  // by group
  SpanInterner keys{};

  const ExprId* at(uint32_t depth) const { return states.data() + depth * parts.size(); }
};

// One more byte; false: no lexeme goes on with it, or what follows one of them may.
bool Tables::step_parts(LandingWalk& walk, uint32_t depth, uint8_t byte) {
  const size_t n = walk.parts.size();
  walk.states.resize((depth + 1) * n);
  bool alive = false;
  for (size_t i = 0; i < n; ++i) {
    const ExprId before = walk.states[(depth - 1) * n + i];
    const uint64_t tags = depth > 1 ? pool_.tags(before) : 0;
    if (tags & ~uint64_t{1} || (tags & 1 && walk.parts[i].after.has(byte))) return false;
    const ExprId to = before == ExprPool::kEmptyExpr ? before : pool_.next(before, byte);
    walk.states[depth * n + i] = to;
    alive |= to != ExprPool::kEmptyExpr;
    if (walk.parts[i].is_open && pool_.tags(to)) return false;
  }
  return alive;
}

// Does the whole subtree stay in these states?
bool Tables::stays(const LandingWalk& walk, uint32_t depth, uint32_t node) {
  const Trie& trie = *tries_[kVocabulary];
  const size_t n = walk.parts.size();
  if (trie.end(node) - node <= 4 || walk.counted != kNone) return false;
  if (!std::equal(walk.at(depth), walk.at(depth) + n, walk.at(depth - 1))) return false;
  for (size_t i = 0; i < n; ++i) {
    const ExprId state = walk.at(depth)[i];
    if (state == ExprPool::kEmptyExpr) continue;
    const ByteSet& bytes = trie.subtree_bytes(node);
    if (!bytes.subset_of(pool_.self_loop(state))) return false;
    const uint64_t tags = pool_.tags(state);
    if (tags && (tags != 1 || !(bytes & walk.parts[i].after).empty())) return false;
  }
  return true;
}

void Tables::walk_landings(LandingWalk& walk) {
  const Trie& trie = *tries_[kVocabulary];
  const size_t n = walk.parts.size();
  for (const LandingPart& part : walk.parts) walk.states.push_back(part.state);
  walk.counts.assign(1, 0);
  walk.group.assign(1, kNone);
  std::vector<uint32_t> key;
  for (uint32_t node = 1; node < trie.size();) {
    const uint32_t depth = trie.depth(node);
    if (!step_parts(walk, depth, trie.byte(node))) {
      node = trie.end(node);
      continue;
    }
    const ExprId* states = walk.at(depth);
    const bool same = depth > 1 && std::equal(states, states + n, walk.at(depth - 1));
    walk.counts.resize(depth);
    walk.counts.push_back(walk.counts.back() + (states[0] == walk.counted));
    walk.group.resize(depth);
    walk.group.push_back(same && walk.counted == kNone ? walk.group.back() : kNone);
    const bool whole = stays(walk, depth, node);
    const uint32_t* end = whole ? trie.subtree_end(node) : trie.tokens_end(node);
    if (trie.tokens_begin(node) != end) {
      uint32_t& group = walk.group.back();
      if (group == kNone) {
        key.assign(states, states + n);
        key.push_back(walk.counts.back());
        group = walk.keys.intern(key.data(), key.size());
      }
      if (walk.tokens.size() <= group) walk.tokens.resize(group + 1);
      walk.tokens[group].insert(walk.tokens[group].end(), trie.tokens_begin(node), end);
    }
    node = whole ? trie.end(node) : node + 1;
  }
}

// A state with the same groups that more states share; `counted`: see LandingWalk.
ExprId Tables::shared_state(ExprId q, ExprId& counted) {
  const Expr e = pool_.node(q);
  if (e.kind != ExprKind::kQuoted || e.b != kNoEscape) return q;
  const auto mode = static_cast<EscapeMode>(e.c);
  const Expr inner = pool_.node(e.a);
  if (inner.kind == ExprKind::kRepeat && pool_.is_character(inner.a)) {
    const ExprId any = pool_.quoted_rest(pool_.repeat(inner.a, 0, kInfinite), mode);
    const CountedString& family = family_of(inner.a, e.c);
    const bool is_near = inner.b > 0 || inner.c < family.max_inside;
    if (is_near) counted = any;
    return any;
  }
  uint32_t limit = 0;
  return unlimited(q) ? pool_.quoted_rest(pool_.without_limit(e.a, limit), mode) : q;
}

const std::vector<TokenSet>& Tables::landings(std::vector<LandingPart> parts) {
  ExprId counted = kNone;
  if (parts.size() == 1) parts[0].state = shared_state(parts[0].state, counted);
  std::vector<uint32_t> key{counted};
  for (const LandingPart& part : parts) {
    key.push_back(part.state);
    key.push_back(part.is_open ? kNone : after_sets_.intern(part.after));
  }
  const uint32_t id = landing_keys_.intern(key.data(), key.size());
  if (id < landings_.size()) return landings_[id];
  landings_.emplace_back();
  LandingWalk walk{parts, counted};
  walk_landings(walk);
  for (std::vector<uint32_t>& tokens : walk.tokens)
    landings_.back().push_back(packed(std::move(tokens)));
  return landings_.back();
}

const std::vector<uint32_t>& Tables::places() {
  if (places_.empty()) {
    places_.resize(n_tokens(), kNone);
    const std::vector<uint32_t>& tokens = tries_[kVocabulary]->tokens();
    for (uint32_t i = 0; i < tokens.size(); ++i) places_[tokens[i]] = i;
  }
  return places_;
}

}  // namespace constrain
