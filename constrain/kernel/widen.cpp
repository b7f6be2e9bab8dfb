// Expressions with rounded counts: a smaller and a larger language that many states share.
//
// A pattern with counters (`maxLength` beside a pattern, at most 100 words) has a state for each
// count, but for one token nearly all of them act alike. Replacing counts by powers of two gives
// a language inside the state's own and one that holds it; where both agree on a token, so does
// the state (tables.cpp uses this). Only counts in positive positions are touched, so both
// inclusions hold exactly.
#include <bit>

#include "expr.h"

namespace constrain {

namespace {

constexpr uint32_t kSmallCount = 4;  // counts up to this stay as they are

}  // namespace

ExprId ExprPool::rounded_repeat(const Expr& e, bool up) {
  const ExprId part = rounded(e.a, up);
  uint32_t min = e.b, max = e.c;
  if (max < kInfinite && max > kSmallCount) max = up ? kInfinite : std::bit_floor(max);
  if (min > kSmallCount) min = up ? std::bit_floor(min) : std::bit_ceil(min);
  if (min > max) return up ? repeat(part, e.b, e.c) : kEmptyExpr;
  return repeat(part, min, max);
}

ExprId ExprPool::rounded(ExprId id, bool up) {
  const uint64_t key = uint64_t{id} << 1 | up;
  const auto known = rounded_.find(key);
  if (known != rounded_.end()) return known->second;
  const Expr e = nodes_[id];
  ExprId result = id;
  switch (e.kind) {
    case ExprKind::kConcat: {
      const ExprId head = rounded(e.a, up);
      result = concat(head, rounded(e.b, up));
      break;
    }
    case ExprKind::kOr:
    case ExprKind::kAnd: {
      std::vector<ExprId> parts;
      for (size_t i = 0; i < lists_.length(e.a); ++i)
        parts.push_back(rounded(lists_.begin(e.a)[i], up));
      result = e.kind == ExprKind::kOr ? alternatives(std::move(parts))
                                       : intersection(std::move(parts));
      break;
    }
    case ExprKind::kRepeat:
      result = rounded_repeat(e, up);
      break;
    case ExprKind::kQuoted:
      result = make_quoted(rounded(e.a, up), e.b, static_cast<EscapeMode>(e.c));
      break;
    default:
      break;
  }
  return rounded_[key] = result;
}

bool ExprPool::takes_any_beginning(ExprId id) {
  const Expr e = nodes_[id];
  if (e.kind == ExprKind::kConcat) return is_any_text(e.a) && is_alive(e.b);
  if (e.kind != ExprKind::kOr) return false;
  for (size_t i = 0; i < lists_.length(e.a); ++i)
    if (takes_any_beginning(lists_.begin(e.a)[i])) return true;
  return false;
}

ExprId ExprPool::without_limit(ExprId id, uint32_t& limit) {
  const Expr e = nodes_[id];
  if (e.kind != ExprKind::kAnd) return id;
  std::vector<ExprId> others;
  limit = kInfinite;
  for (size_t i = 0; i < lists_.length(e.a); ++i) {
    const ExprId part = lists_.begin(e.a)[i];
    const Expr p = nodes_[part];
    const bool limits = p.kind == ExprKind::kRepeat && p.b == 0 &&
                        (is_any_text(repeat(p.a, 0, kInfinite)));
    if (limits) limit = std::min(limit, p.c);
    else others.push_back(part);
  }
  if (limit == kInfinite || others.empty()) return id;
  return intersection(std::move(others));
}

}  // namespace constrain
