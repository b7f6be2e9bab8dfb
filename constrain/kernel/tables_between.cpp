// Tables of states with counters, from the tables of two languages around them (widen.cpp).
#include "tables.h"

namespace constrain {

namespace {

// More tokens than this are not settled one by one: a walk of the whole tree is as cheap.
constexpr size_t kMostOpen = 4096;

std::vector<uint64_t> bits_of(const TokenSet& set, uint32_t n_words) {
  std::vector<uint64_t> bits(n_words, 0);
  set.add_to(bits.data());
  return bits;
}

}  // namespace

// A pattern with a length limit that no token can come near acts like the pattern alone: after
// any token the shortest completion still fits.
const LexemeTable* Tables::unlimited(ExprId q) {
  const Expr e = pool_.node(q);
  if (e.kind != ExprKind::kQuoted || e.b != kNoEscape) return nullptr;
  uint32_t limit = 0;
  const ExprId free = pool_.without_limit(e.a, limit);
  if (free == e.a || limit <= longest_) return nullptr;
  const LexemeTable& table =
      this->table(kVocabulary, pool_.quoted_rest(free, static_cast<EscapeMode>(e.c)), true);
  return table.max_rest < limit - longest_ ? &table : nullptr;
}

// Only where a walk would be long: when many bytes may come next.
bool Tables::is_wide(ExprId q) {
  constexpr int kMany = 24;
  const ByteSet set = pool_.first_bytes(q);
  int n = 0;
  for (unsigned b = 0; b < 128; ++b) n += set.has(static_cast<uint8_t>(b));
  return n >= kMany;
}

const Tables::Between& Tables::difference(ExprId low, ExprId high) {
  auto& slot = differences_[uint64_t{low} << 32 | high];
  if (slot) return *slot;
  auto found = std::make_unique<Between>();
  const LexemeTable& inner = general(kVocabulary, low, true);
  const LexemeTable& outer = general(kVocabulary, high, true);
  const auto a = bits_of(*inner.inside, n_words()), b = bits_of(*outer.inside, n_words());
  for (uint32_t w = 0; w < n_words(); ++w)
    for (uint64_t word = b[w] & ~a[w]; word; word &= word - 1)
      found->inside.push_back(w * 64 + static_cast<uint32_t>(__builtin_ctzll(word)));
  std::set_difference(outer.exited.begin(), outer.exited.end(), inner.exited.begin(),
                      inner.exited.end(), std::back_inserter(found->exits));
  memory_ += found->inside.size() * 4 + found->exits.size() * sizeof(Exited);
  slot = std::move(found);
  return *slot;
}

const LexemeTable& Tables::between(ExprId q, ExprId low, ExprId high) {
  const Between& open = difference(low, high);
  if (open.inside.size() + open.exits.size() > kMostOpen) return general(kVocabulary, q, true);
  const LexemeTable& inner = general(kVocabulary, low, true);
  return tables_[q] = settle(q, inner, open);
}

LexemeTable Tables::settle(ExprId q, const LexemeTable& low, const Between& open) {
  std::vector<uint32_t> inside;
  std::vector<Exited> exits;
  uint32_t max_rest = low.max_rest;
  for (const uint32_t token : open.inside) {
    ExprId state = q;
    uint32_t rest = static_cast<uint32_t>(tokens_[token].size());
    std::vector<Exited> ended;
    for (const char c : tokens_[token]) {
      state = pool_.next(state, static_cast<uint8_t>(c));
      if (state == ExprPool::kEmptyExpr) break;
      --rest;
      uint64_t tags = rest ? pool_.tags(state) : 0;
      for (uint32_t tag = 0; tags; tags >>= 1, ++tag)
        if (tags & 1) ended.push_back({tag, token, rest});
    }
    if (state != ExprPool::kEmptyExpr) {
      inside.push_back(token);
      max_rest = std::max(max_rest, pool_.min_length(state, 0));
    } else {
      exits.insert(exits.end(), ended.begin(), ended.end());
    }
  }
  for (const Exited& e : open.exits) {
    ExprId state = q;
    const std::string& text = tokens_[e.token];
    for (size_t i = 0; i + e.rest < text.size() && state != ExprPool::kEmptyExpr; ++i)
      state = pool_.next(state, static_cast<uint8_t>(text[i]));
    if (pool_.tags(state) >> e.tag & 1) exits.push_back(e);
  }
  LexemeTable table;
  table.inside = low.inside;
  table.exits = low.exits;
  table.max_rest = max_rest;
  table.has_exits = true;
  if (!inside.empty()) {
    const auto bits = bits_of(*low.inside, n_words());
    for (uint32_t w = 0; w < n_words(); ++w)
      for (uint64_t word = bits[w]; word; word &= word - 1)
        inside.push_back(w * 64 + static_cast<uint32_t>(__builtin_ctzll(word)));
    table.inside = make_set(std::move(inside));
  }
  if (!exits.empty()) {
    exits.insert(exits.end(), low.exited.begin(), low.exited.end());
    uint64_t tags = 0;
    for (const Exited& e : exits) tags |= uint64_t{1} << e.tag;
    table.exits.clear();
    for (uint32_t tag = 0; tags; tags >>= 1, ++tag)
      if (tags & 1) table.exits.push_back({tag, make_trie(exits, tag)});
  }
  return table;
}

// A string in which a pattern is still to be found: all that stays inside any string stays inside
// this one; only the tokens that close it must have found the pattern.
LexemeTable Tables::searching(ExprId q, CountedString& any) {
  LexemeTable table = counted(any, any.max_crossing + 1, kInfinite);
  std::vector<uint32_t> closing;
  std::vector<Exited> exits;
  for (const auto& crossing : any.crossing) {
    ExprId state = q;
    const std::string& text = tokens_[crossing.token];
    for (size_t i = 0; i + crossing.rest < text.size() && state != ExprPool::kEmptyExpr; ++i)
      state = pool_.next(state, static_cast<uint8_t>(text[i]));
    if (!(pool_.tags(state) & 1)) continue;
    if (crossing.rest) exits.push_back({0, crossing.token, crossing.rest});
    else closing.push_back(crossing.token);
  }
  if (!closing.empty()) {
    auto bits = bits_of(*table.inside, n_words());
    for (uint32_t w = 0; w < n_words(); ++w)
      for (uint64_t word = bits[w]; word; word &= word - 1)
        closing.push_back(w * 64 + static_cast<uint32_t>(__builtin_ctzll(word)));
    table.inside = make_set(std::move(closing));
  }
  table.exits.clear();
  if (!exits.empty()) table.exits.push_back({0, make_trie(exits, 0)});
  return table;
}

}  // namespace constrain
