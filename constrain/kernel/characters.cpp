// Characters as bytes: code point ranges to UTF-8 expressions, texts, JSON quoting.
#include "expr.h"

namespace constrain {

namespace {

// A run of code points whose UTF-8 forms have one length and independent byte ranges.
struct Utf8Run {
  int n;
  uint8_t lo[4], hi[4];
};

// Splits [lo, hi] where the length changes and where trailing bytes are not full ranges
// (the algorithm of RE2's and rust-regex's utf8-ranges, after Ken Thompson's grep).
void split_utf8(uint32_t lo, uint32_t hi, std::vector<Utf8Run>& out) {
  std::vector<CodeRange> pending{{lo, hi}};
  static constexpr uint32_t kLast[] = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
  while (!pending.empty()) {
    auto [a, b] = pending.back();
    pending.pop_back();
    bool split = false;
    for (const uint32_t last : kLast) {
      if (a <= last && b > last) {
        pending.push_back({last + 1, b});
        pending.push_back({a, last});
        split = true;
        break;
      }
    }
    for (int i = 1; i < 4 && !split && b >= 0x80; ++i) {
      const uint32_t m = (1u << (6 * i)) - 1;
      if ((a & ~m) == (b & ~m)) continue;
      if ((a & m) != 0) {
        pending.push_back({(a | m) + 1, b});
        pending.push_back({a, a | m});
        split = true;
      } else if ((b & m) != m) {
        pending.push_back({b & ~m, b});
        pending.push_back({a, (b & ~m) - 1});
        split = true;
      }
    }
    if (split) continue;
    Utf8Run run{};
    run.n = encode_utf8(a, run.lo);
    encode_utf8(b, run.hi);
    out.push_back(run);
  }
}

}  // namespace

// A character of the universe stands as itself, if its bytes are in `raw`, or as an escape, if
// its code is in `escaped`.
ExprPool::Spelling ExprPool::spelling_of(Universe universe) const {
  if (universe == Universe::kText) return {alphabet_, {}};
  ByteSet must;
  must.add_range(0, 0x1F);
  must.add('"');
  must.add('\\');
  Spelling spelling{alphabet_ & ~must, {}};
  const EscapeMode mode =
      universe == Universe::kMinimal ? EscapeMode::kMinimal : EscapeMode::kAny;
  if (alphabet_.has('\\')) spelling.escaped = escape_reach(kAfterBackslash, mode, alphabet_);
  return spelling;
}

ExprId ExprPool::chars_of(const std::vector<CodeRange>& ranges, const ByteSet& spellable) {
  std::vector<Utf8Run> runs;
  for (const CodeRange r : ranges) split_utf8(r.lo, r.hi, runs);
  // Runs with the same trailing bytes share one set of leading bytes.
  std::unordered_map<ExprId, ByteSet> leads;
  std::vector<ExprId> order;
  for (const Utf8Run& run : runs) {
    ExprId tail = kEpsilon;
    for (int i = run.n - 1; i > 0; --i) {
      ByteSet set;
      set.add_range(run.lo[i], run.hi[i]);
      tail = concat(bytes(set & spellable), tail);
    }
    ByteSet lead;
    lead.add_range(run.lo[0], run.hi[0]);
    if (leads.emplace(tail, ByteSet{}).second) order.push_back(tail);
    leads[tail] = leads[tail] | (lead & spellable);
  }
  std::vector<ExprId> parts;
  for (const ExprId tail : order) parts.push_back(concat(bytes(leads[tail]), tail));
  return alternatives(std::move(parts));
}

ExprId ExprPool::chars(const std::vector<CodeRange>& ranges, Universe universe) {
  std::vector<CodeRange> scalars;  // without surrogates, which are no characters
  std::vector<uint32_t> words;
  for (const CodeRange r : ranges) {
    if (r.lo < 0xD800) scalars.push_back({r.lo, std::min(r.hi, 0xD7FFu)});
    if (r.hi > 0xDFFF) scalars.push_back({std::max(r.lo, 0xE000u), r.hi});
  }
  for (const CodeRange r : scalars) words.insert(words.end(), {r.lo, r.hi});
  const uint32_t set = range_sets_.intern(words.data(), words.size());
  const uint64_t key = uint64_t{set} << 2 | static_cast<uint64_t>(universe);
  const auto known = chars_.find(key);
  if (known != chars_.end()) return known->second;
  const Spelling& spelling = spellings_[static_cast<int>(universe)];
  std::vector<CodeRange> escaped;
  for (const CodeRange r : scalars)
    for (const CodeRange e : spelling.escaped)
      if (std::max(r.lo, e.lo) <= std::min(r.hi, e.hi))
        escaped.push_back({std::max(r.lo, e.lo), std::min(r.hi, e.hi)});
  const ExprId result =
      alternatives({chars_of(scalars, spelling.raw), chars_of(escaped, ~ByteSet{})});
  characters_.insert(result);
  return chars_[key] = result;
}

ExprId ExprPool::any_text(Universe universe) {
  ExprId& known = any_text_[static_cast<int>(universe)];
  if (known == kNone) {
    const ExprId character = chars({{0, 0x10FFFF}}, universe);
    const ExprId all = repeat(character, 0, kInfinite);
    if (all == kEpsilon) return kEpsilon;
    known = all;
  }
  return known;
}

ExprId ExprPool::complement(ExprId a, Universe universe) {
  return intersection({negation(a), any_text(universe)});
}

bool ExprPool::can_spell(const std::string& text, Universe universe) const {
  const Spelling& spelling = spellings_[static_cast<int>(universe)];
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    const uint32_t code = decode_utf8(text, i);
    bool raw = true;
    for (size_t k = begin; k < i; ++k) raw &= spelling.raw.has(static_cast<uint8_t>(text[k]));
    const bool escaped =
        std::any_of(spelling.escaped.begin(), spelling.escaped.end(),
                    [&](CodeRange r) { return r.lo <= code && code <= r.hi; });
    if (!raw && !escaped) return false;
  }
  return true;
}

ExprId ExprPool::literals(std::vector<std::string> texts, Universe universe) {
  std::erase_if(texts, [&](const std::string& text) { return !can_spell(text, universe); });
  if (texts.empty()) return kEmptyExpr;
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  if (texts.size() == 1 && texts[0].empty()) return kEpsilon;
  std::string key;
  for (const std::string& text : texts) {
    key += text;
    key += '\xFF';  // never part of UTF-8
  }
  const auto [it, added] =
      literal_ids_.emplace(std::move(key), static_cast<uint32_t>(literal_lists_.size()));
  const auto n = static_cast<uint32_t>(texts.size());
  if (added) literal_lists_.push_back({std::move(texts), {}});
  return make({ExprKind::kLiterals, it->second, 0, n, 0});
}

ExprId ExprPool::weighted(std::vector<std::pair<std::string, float>> texts) {
  std::erase_if(texts, [&](const auto& t) { return !can_spell(t.first, Universe::kText); });
  if (texts.empty()) return kEmptyExpr;
  std::sort(texts.begin(), texts.end());
  LiteralList list;
  std::string key = "\xFE";  // no list without weights begins like this
  for (auto& [text, weight] : texts) {
    char bytes[sizeof weight];
    std::memcpy(bytes, &weight, sizeof weight);
    key += text;
    key += '\xFF';
    key.append(bytes, sizeof weight);
    list.texts.push_back(std::move(text));
    list.weights.push_back(weight);
  }
  const auto [it, added] =
      literal_ids_.emplace(std::move(key), static_cast<uint32_t>(literal_lists_.size()));
  if (added) literal_lists_.push_back(std::move(list));
  return make({ExprKind::kLiterals, it->second, 0, static_cast<uint32_t>(texts.size()), 0});
}

bool ExprPool::only_closes(ExprId id) const {
  while (nodes_[id].kind == ExprKind::kConcat) id = nodes_[id].b;
  return nodes_[id].kind == ExprKind::kTag && nodes_[id].a == kCloseTag;
}

// Weights stand in lists, alternatives and behind white space only, so this is never deep.
float ExprPool::best_weight(ExprId id) const {
  if (!facts_[id].weighted) return 0.0f;
  const Expr& e = nodes_[id];
  if (e.kind == ExprKind::kConcat) return best_weight(e.a) + best_weight(e.b);
  if (e.kind == ExprKind::kLiterals) {
    const auto& weights = literal_lists_[e.a].weights;
    return *std::max_element(weights.begin() + e.b, weights.begin() + e.c);
  }
  float best = -std::numeric_limits<float>::infinity();
  for (const uint32_t* p = lists_.begin(e.a); p != lists_.end(e.a); ++p)
    if (!only_closes(*p)) best = std::max(best, best_weight(*p));
  return best;
}

float ExprPool::own_weight(ExprId id, uint32_t tag) const {
  if (!facts_[id].weighted) return 0.0f;
  const Expr& e = nodes_[id];
  if (e.kind == ExprKind::kConcat) return own_weight(e.a, 0) + own_weight(e.b, tag);
  if (e.kind == ExprKind::kLiterals)
    return literal_lists_[e.a].weights[e.b];  // the shortest sorts first
  float best = -std::numeric_limits<float>::infinity();
  for (const uint32_t* p = lists_.begin(e.a); p != lists_.end(e.a); ++p)
    if (facts_[*p].tags >> tag & 1) best = std::max(best, own_weight(*p, tag));
  return best;
}

// May the decoded text go on with a character that the escape read so far can become?
bool ExprPool::reaches(ExprId inner, uint32_t escape, EscapeMode mode) {
  const uint64_t key = uint64_t{inner} << 32 | escape << 1 | static_cast<uint64_t>(mode);
  const auto known = reach_.find(key);
  if (known != reach_.end()) return known->second;
  const Universe universe = mode == EscapeMode::kAny ? Universe::kAny : Universe::kMinimal;
  const ExprId first = chars(escape_reach(escape, mode, alphabet_), universe);
  const bool alive =
      is_alive(intersection({inner, concat(first, negation(kEmptyExpr))}));
  return reach_[key] = alive;
}

ExprId ExprPool::make_quoted(ExprId inner, uint32_t escape, EscapeMode mode) {
  if (inner == kEmptyExpr || !alphabet_.has('"') || !is_alive(inner)) return kEmptyExpr;
  if (escape == kNoEscape ? !goes_on_raw(inner) : !reaches(inner, escape, mode))
    return kEmptyExpr;
  return make({ExprKind::kQuoted, inner, escape, static_cast<uint32_t>(mode)});
}

ExprId ExprPool::quoted_rest(ExprId inner, EscapeMode mode) {
  return make_quoted(inner, kNoEscape, mode);
}

ExprId ExprPool::quoted(ExprId inner, EscapeMode mode) {
  ByteSet quote;
  quote.add('"');
  return concat(bytes(quote), quoted_rest(inner, mode));
}

ExprId ExprPool::derive_quoted(const Expr& e, uint8_t byte) {
  const auto mode = static_cast<EscapeMode>(e.c);
  if (e.b == kNoEscape) {
    if (byte == '"') return facts_[e.a].tags & 1 ? kEpsilon : kEmptyExpr;
    if (byte == '\\') return make_quoted(e.a, kAfterBackslash, mode);
    if (byte < 0x20) return kEmptyExpr;
    return make_quoted(raw_next(e.a, byte), kNoEscape, mode);
  }
  const EscapeStep step = escape_step(e.b, byte, mode);
  if (step.outcome == EscapeStep::kDead) return kEmptyExpr;
  if (step.outcome == EscapeStep::kPending) return make_quoted(e.a, step.value, mode);
  uint8_t utf8[4];
  const int n = encode_utf8(step.value, utf8);
  ExprId inner = e.a;
  for (int i = 0; i < n && inner != kEmptyExpr; ++i) inner = raw_next(inner, utf8[i]);
  return make_quoted(inner, kNoEscape, mode);
}

}  // namespace constrain
