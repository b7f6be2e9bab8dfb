// Construction of expressions: canonical forms and the facts known at once.
#include "expr.h"

#include <numeric>
#include <tuple>

namespace constrain {

ExprPool::ExprPool(const ByteSet& alphabet) : alphabet_(alphabet) {
  set_limits(Limits{}, Limits{}.expressions);
  for (unsigned b = 0x80; b < 0xF5; ++b)
    lacks_characters_ |= b != 0xC0 && b != 0xC1 && !alphabet.has(static_cast<uint8_t>(b));
  make({ExprKind::kEmpty});
  make({ExprKind::kTag, 0});
  alive_[kEmptyExpr] = 2;
  for (const Universe u : {Universe::kText, Universe::kMinimal, Universe::kAny})
    spellings_[static_cast<int>(u)] = spelling_of(u);
  // Known from the start, so that every union that holds one is simplified.
  for (const Universe u : {Universe::kText, Universe::kMinimal, Universe::kAny}) any_text(u);
}

void ExprPool::set_limits(const Limits& limits, uint64_t n_left) {
  limits_ = limits;
  max_size_ = nodes_.size() + n_left;
}

void ExprPool::set_deadline() {
  has_deadline_ = true;
  started_ = std::chrono::steady_clock::now();
}

void ExprPool::check_time() const {
  if (!has_deadline_) return;
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - started_;
  if (spent.count() > limits_.seconds)
    throw LimitExceeded("seconds", spent.count(), limits_.seconds);
}

uint64_t ExprPool::memory() const {
  return nodes_.bytes() + facts_.capacity() * sizeof(ExprFacts) + rows_.capacity() * sizeof(Row) +
         targets_.capacity() * 4 + lists_.bytes() + class_maps_.bytes() + sets_.bytes();
}

ExprId ExprPool::make(const Expr& e) {
  const uint32_t before = nodes_.size();
  const ExprId id = nodes_.intern(e);
  if (id != before) return id;
  if (nodes_.size() > max_size_)
    throw LimitExceeded("expressions", static_cast<double>(limits_.expressions) + 1,
                        static_cast<double>(limits_.expressions));
  if (nodes_.size() % 256 == 0) check_time();
  facts_.push_back(derive_facts(e));
  rows_.emplace_back();
  alive_.push_back(0);
  const uint32_t depth = std::max(facts_[id].depth, facts_[id].chain / 8);
  if (depth > limits_.expression_depth)
    throw LimitExceeded("expression_depth", depth, limits_.expression_depth);
  return id;
}

ExprFacts ExprPool::concat_facts(const Expr& e) const {
  const ExprFacts &a = facts_[e.a], &b = facts_[e.b];
  ExprFacts f;
  f.tags = a.tags & 1 ? b.tags : 0;
  f.min_len = add_length(a.min_len, b.min_len);
  f.min_plain = add_length(a.min_plain, b.min_plain);
  f.max_len = add_length(a.max_len, b.max_len);
  // A derivative enters b only if a may be empty; a long chain of bytes stays shallow.
  f.depth = std::max(a.depth + 1, a.tags & 1 ? b.depth + 1 : b.depth);
  f.chain = b.chain + 1;
  f.searched = a.searched || b.searched;
  f.tagged = b.tagged;
  f.exact_length = a.exact_length && b.exact_length;
  f.weighted = a.weighted || b.weighted;
  return f;
}

ExprFacts ExprPool::list_facts(const Expr& e) const {
  const bool any = e.kind == ExprKind::kOr;
  ExprFacts f;
  f.tags = any ? 0 : ~uint64_t{0};
  f.min_len = f.min_plain = any ? kInfinite : 0;
  f.max_len = any ? 0 : kInfinite;
  f.stuck = any;
  for (const uint32_t* p = lists_.begin(e.a); p != lists_.end(e.a); ++p) {
    const ExprFacts& part = facts_[*p];
    f.depth = std::max(f.depth, part.depth + 1);
    if (any) {
      f.tags |= part.tags;
      f.tagged |= part.tagged;
      f.stuck &= part.stuck;
      f.weighted |= part.weighted;
      f.min_len = std::min(f.min_len, part.min_len);
      f.min_plain = std::min(f.min_plain, part.min_plain);
      f.max_len = std::max(f.max_len, part.max_len);
      f.searched |= part.searched;
      f.exact_length &= part.exact_length;
    } else {
      f.tags &= part.tags;
      f.min_len = std::max(f.min_len, part.min_len);
      f.max_len = std::min(f.max_len, part.max_len);
    }
  }
  if (!any) {
    f.searched = true;
    f.exact_length = false;
    f.min_plain = f.min_len;
  }
  return f;
}

ExprFacts ExprPool::repeat_facts(const Expr& e) const {
  ExprFacts f = facts_[e.a];
  f.tags = e.b == 0 || f.tags ? 1 : 0;
  f.min_len = mul_length(f.min_len, e.b);
  f.min_plain = e.b == 0 ? 0 : mul_length(f.min_plain, e.b);
  f.max_len = mul_length(f.max_len, e.c);
  f.weighted = false;
  ++f.depth;
  return f;
}

ExprFacts ExprPool::literal_facts(const Expr& e) const {
  const auto& texts = literal_lists_[e.a].texts;
  ExprFacts f;
  f.tags = texts[e.b].size() == e.d ? 1 : 0;
  f.min_len = f.min_plain = kInfinite;
  for (uint32_t i = e.b; i < e.c; ++i) {
    const auto length = static_cast<uint32_t>(texts[i].size()) - e.d;
    f.min_len = std::min(f.min_len, length);
    f.max_len = std::max(f.max_len, length);
    bool plain = true;
    for (size_t k = e.d; k < texts[i].size(); ++k) {
      const auto b = static_cast<uint8_t>(texts[i][k]);
      plain &= b >= 0x20 && b != '"' && b != '\\' && alphabet_.has(b);
    }
    if (plain) f.min_plain = std::min(f.min_plain, length);
  }
  f.weighted = !literal_lists_[e.a].weights.empty();
  f.stuck = f.max_len == 0;
  return f;
}

// Bytes still needed to make the number a multiple. With n more digits, t of them after the point,
// it can be one iff remainder * 10^n + x is 0 modulo divisor / gcd(divisor, 10^(places - t)) for
// some x < 10^n. kInfinite: the places left do not suffice.
uint32_t ExprPool::multiple_length(const Expr& e) const {
  const auto [divisor, places] = divisors_[e.a];
  const bool pointed = e.d >= kPointRead;
  const uint32_t left = pointed ? e.d - kPointRead : places;
  const uint64_t remainder = uint64_t{e.c} << 32 | e.b;
  uint32_t least = kInfinite;
  uint64_t modulus = divisor;
  // From all places down to none, while the modulus loses its factors of ten.
  for (uint32_t t = left;; --t) {
    const uint32_t fixed = t + (pointed || t == 0 ? 0 : 1);
    unsigned __int128 shifted = remainder % modulus, power = 1;
    for (uint32_t n = 0; n + fixed - t < least; ++n) {
      const unsigned __int128 missing = (modulus - shifted % modulus) % modulus;
      if (missing < power && n >= t && (n > t || e.d)) {
        least = n + fixed - t;
        break;
      }
      if (pointed && n == t) break;
      shifted = shifted % modulus * 10;
      power = std::min<unsigned __int128>(power * 10, modulus);
    }
    if (t == 0) return least;
    modulus /= std::gcd(modulus, uint64_t{10});
  }
}

ExprFacts ExprPool::derive_facts(const Expr& e) {
  ExprFacts f;
  switch (e.kind) {
    case ExprKind::kEmpty:
      f.min_len = f.min_plain = kInfinite;
      break;
    case ExprKind::kTag:
      f.tags = uint64_t{1} << e.a;
      f.tagged = e.a != 0;
      f.stuck = true;
      break;
    case ExprKind::kBytes: {
      ByteSet plain = sets_[e.a] & alphabet_;
      plain.w[0] &= ~(uint64_t{0xFFFFFFFF} | uint64_t{1} << '"');
      plain.w[1] &= ~(uint64_t{1} << ('\\' - 64));
      f.min_len = f.max_len = 1;
      f.min_plain = plain.empty() ? kInfinite : 1;
      break;
    }
    case ExprKind::kConcat:
      return concat_facts(e);
    case ExprKind::kOr:
    case ExprKind::kAnd:
      return list_facts(e);
    case ExprKind::kNot:
      f.tags = facts_[e.a].tags & 1 ? 0 : 1;
      f.depth = facts_[e.a].depth + 1;
      f.max_len = kInfinite;
      f.searched = true;
      f.exact_length = false;
      break;
    case ExprKind::kRepeat:
      return repeat_facts(e);
    case ExprKind::kLiterals:
      return literal_facts(e);
    case ExprKind::kQuoted: {
      const ExprFacts& inner = facts_[e.a];
      f.depth = inner.depth + 1;
      f.searched = inner.searched;
      f.min_len = f.min_plain = add_length(inner.min_len, 1);
      f.max_len = kInfinite;  // escapes lengthen
      // Exact where the shortest text needs no escape.
      f.exact_length = e.b == kNoEscape && inner.exact_length && inner.min_plain == inner.min_len;
      break;
    }
    case ExprKind::kMultiple:
      f.min_len = f.min_plain = multiple_length(e);
      f.tags = f.min_len == 0 ? 1 : 0;
      f.max_len = kInfinite;
      break;
  }
  return f;
}

ExprId ExprPool::tag(uint32_t t) { return make({ExprKind::kTag, t}); }

ExprId ExprPool::bytes(const ByteSet& set) {
  return set.empty() ? kEmptyExpr : make({ExprKind::kBytes, sets_.intern(set)});
}

ExprId ExprPool::concat(ExprId a, ExprId b) {
  if (a == kEmptyExpr || b == kEmptyExpr) return kEmptyExpr;
  if (a == kEpsilon) return b;
  if (b == kEpsilon) return a;
  // Right-associated: the head of a chain is what moves. Iterative, since chains are long.
  std::vector<ExprId> heads;
  while (nodes_[a].kind == ExprKind::kConcat) {
    heads.push_back(nodes_[a].a);
    a = nodes_[a].b;
  }
  ExprId result = make({ExprKind::kConcat, a, b});
  for (size_t i = heads.size(); i-- > 0;) result = make({ExprKind::kConcat, heads[i], result});
  return result;
}

void ExprPool::flatten(std::vector<ExprId>& parts, ExprKind kind) const {
  std::vector<ExprId> flat;
  for (const ExprId p : parts) {
    if (nodes_[p].kind == kind)
      flat.insert(flat.end(), lists_.begin(nodes_[p].a), lists_.end(nodes_[p].a));
    else
      flat.push_back(p);
  }
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  parts.swap(flat);
}

void ExprPool::merge_byte_sets(std::vector<ExprId>& parts, bool unite) {
  ByteSet merged;
  size_t n_sets = 0, kept = 0;
  for (const ExprId p : parts) {
    if (nodes_[p].kind == ExprKind::kBytes) {
      const ByteSet& set = sets_[nodes_[p].a];
      merged = n_sets++ == 0 ? set : unite ? merged | set : merged & set;
    } else {
      parts[kept++] = p;
    }
  }
  parts.resize(kept);
  if (!n_sets) return;
  parts.push_back(bytes(merged));
  std::sort(parts.begin(), parts.end());
}

// r{0,3}t | r{1,5}t is r{0,5}t: keeps counted searches from collecting one state per count.
void ExprPool::merge_repeats(std::vector<ExprId>& parts) {
  struct Counted {
    ExprId repeated, tail;
    uint32_t min, max;
    size_t at;
  };
  std::vector<Counted> counted;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Expr e = nodes_[parts[i]];
    const bool chain = e.kind == ExprKind::kConcat;
    const Expr head = chain ? nodes_[e.a] : e;
    if (head.kind != ExprKind::kRepeat) continue;
    counted.push_back({head.a, chain ? e.b : kEpsilon, head.b, head.c, i});
  }
  if (counted.size() < 2) return;
  std::sort(counted.begin(), counted.end(), [](const Counted& x, const Counted& y) {
    return std::tie(x.repeated, x.tail, x.min) < std::tie(y.repeated, y.tail, y.min);
  });
  bool changed = false;
  for (size_t i = 0; i < counted.size();) {
    Counted merged = counted[i];
    size_t j = i + 1;
    for (; j < counted.size() && counted[j].repeated == merged.repeated &&
           counted[j].tail == merged.tail && counted[j].min <= merged.max + 1;
         ++j) {
      merged.max = std::max(merged.max, counted[j].max);
      parts[counted[j].at] = kEmptyExpr;
      changed = true;
    }
    if (j > i + 1)
      parts[merged.at] = concat(repeat(merged.repeated, merged.min, merged.max), merged.tail);
    i = j;
  }
  if (changed) flatten(parts, ExprKind::kOr);
}

// Every text swallows its untagged siblings: all parts begin at the same character border.
void ExprPool::drop_into_any_text(std::vector<ExprId>& parts) const {
  for (const ExprId any : any_text_) {
    if (any == kNone || !std::binary_search(parts.begin(), parts.end(), any)) continue;
    std::erase_if(parts, [&](ExprId p) { return p != any && !facts_[p].tagged; });
    return;
  }
}

// Every text is no restriction on an expression made of characters.
void ExprPool::drop_any_text(std::vector<ExprId>& parts) const {
  const auto is_any = [&](ExprId p) {
    return p == any_text_[0] || p == any_text_[1] || p == any_text_[2];
  };
  const bool implied = std::any_of(parts.begin(), parts.end(), [&](ExprId p) {
    return !is_any(p) && !facts_[p].searched && nodes_[p].kind != ExprKind::kMultiple;
  });
  if (implied) std::erase_if(parts, is_any);
}

ExprId ExprPool::alternatives(std::vector<ExprId> parts) {
  flatten(parts, ExprKind::kOr);
  std::erase(parts, kEmptyExpr);
  if (parts.size() > 1) {
    merge_byte_sets(parts, true);
    merge_repeats(parts);
    std::erase(parts, kEmptyExpr);
    drop_into_any_text(parts);
  }
  const ExprId everything = negation(kEmptyExpr);
  if (std::binary_search(parts.begin(), parts.end(), everything)) return everything;
  if (parts.empty()) return kEmptyExpr;
  if (parts.size() == 1) return parts[0];
  return make({ExprKind::kOr, lists_.intern(parts.data(), parts.size())});
}

ExprId ExprPool::intersection(std::vector<ExprId> parts) {
  flatten(parts, ExprKind::kAnd);
  const ExprId everything = negation(kEmptyExpr);
  std::erase(parts, everything);
  if (parts.empty()) return everything;
  if (parts[0] == kEmptyExpr) return kEmptyExpr;
  if (parts.size() > 1) merge_byte_sets(parts, false);
  if (parts[0] == kEmptyExpr) return kEmptyExpr;
  drop_any_text(parts);
  if (parts.size() == 1) return parts[0];
  // What must be longer than it may be is nothing; seen here, it needs no search (a multiple of
  // a great number under a bound would otherwise be looked for among all numerals).
  uint32_t shortest = 0, longest = kInfinite;
  for (const ExprId p : parts) {
    shortest = std::max(shortest, facts_[p].min_len);
    longest = std::min(longest, facts_[p].max_len);
  }
  if (shortest > longest) return kEmptyExpr;
  if (std::binary_search(parts.begin(), parts.end(), kEpsilon)) {
    for (const ExprId p : parts)
      if (!(facts_[p].tags & 1)) return kEmptyExpr;
    return kEpsilon;
  }
  const bool is_text = std::any_of(parts.begin(), parts.end(), [&](ExprId p) {
    return !facts_[p].searched;
  });
  for (const ExprId p : parts) {
    if (nodes_[p].kind != ExprKind::kNot) continue;
    if (std::binary_search(parts.begin(), parts.end(), nodes_[p].a)) return kEmptyExpr;
    if (is_text && is_any_text(nodes_[p].a)) return kEmptyExpr;  // no text, made of characters
  }
  return make({ExprKind::kAnd, lists_.intern(parts.data(), parts.size())});
}

ExprId ExprPool::negation(ExprId a) {
  if (nodes_[a].kind == ExprKind::kNot) return nodes_[a].a;
  return make({ExprKind::kNot, a});
}

ExprId ExprPool::repeat(ExprId a, uint32_t min, uint32_t max) {
  if (max == 0 || a == kEpsilon) return kEpsilon;
  if (a == kEmptyExpr) return min == 0 ? kEpsilon : kEmptyExpr;
  if (min == 1 && max == 1) return a;
  if (facts_[a].tags & 1) min = 0;  // an empty round counts
  const Expr inner = nodes_[a];
  if (inner.kind == ExprKind::kRepeat && inner.b == 0 && inner.c == kInfinite) return a;
  return make({ExprKind::kRepeat, a, min, std::min(max, kInfinite)});
}

ExprId ExprPool::multiple(uint64_t divisor, uint32_t places) {
  const Divisor wanted{divisor, places};
  const auto found = std::find(divisors_.begin(), divisors_.end(), wanted);
  const auto id = static_cast<uint32_t>(found - divisors_.begin());
  if (found == divisors_.end()) divisors_.push_back(wanted);
  return make({ExprKind::kMultiple, id, 0, 0, 0});
}

}  // namespace constrain
