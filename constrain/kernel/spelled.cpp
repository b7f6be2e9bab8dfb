// Shortest JSON spellings of decoded text, whole and after an escape that has begun.
//
// Escapes that JSON does not demand never shorten a string, so a spelling is never searched
// escape by escape: the expression over decoded text is, with the cost of each byte. An escape
// that has begun leaves intervals of characters; each is followed through the UTF-8 tree, where
// all bytes that lead to one state count once.
#include "expr.h"

namespace constrain {

namespace {

struct Span {  // characters with an equally long rest of their escape
  uint32_t lo, hi, rest;
};

// The intervals in pieces that escape_rest is constant on, without the characters of `except`.
std::vector<Span> spans_of(const std::vector<CodeRange>& ranges, uint32_t escape,
                           const ByteSet& alphabet, const std::vector<uint32_t>& except) {
  std::vector<uint32_t> cuts{0x10000};  // each begins a piece
  for (uint32_t code = 0; code < 0x80; ++code) cuts.push_back(code);
  cuts.push_back(0x80);
  for (const uint32_t code : except) {
    cuts.push_back(code);
    cuts.push_back(code + 1);
  }
  std::sort(cuts.begin(), cuts.end());
  std::vector<Span> spans;
  for (const CodeRange range : ranges) {
    for (uint32_t lo = range.lo; lo <= range.hi;) {
      const auto cut = std::upper_bound(cuts.begin(), cuts.end(), lo);
      const uint32_t hi = cut == cuts.end() ? range.hi : std::min(range.hi, *cut - 1);
      if (!std::binary_search(except.begin(), except.end(), lo))
        spans.push_back({lo, hi, escape_rest(escape, lo, alphabet)});
      lo = hi + 1;
    }
  }
  return spans;
}

}  // namespace

uint32_t ExprPool::spelled_min(ExprId text, bool escaped) {
  return search(text, 0, escaped ? Spelled::kEscaped : Spelled::kRaw);
}

// Can a character that has begun be ended with bytes of the alphabet? True between characters.
bool ExprPool::goes_on_raw(ExprId inner) {
  if (alphabet_.w[2] == ~uint64_t{0}) return true;
  const auto known = goes_on_raw_.find(inner);
  if (known != goes_on_raw_.end()) return known->second;
  bool has_begun = false, found = false;
  for (unsigned b = 0x80; b < 0xC0 && !found; ++b) {
    const ExprId to = next(inner, static_cast<uint8_t>(b));
    if (to == kEmptyExpr) continue;
    has_begun = true;
    found = alphabet_.has(static_cast<uint8_t>(b)) && goes_on_raw(to);  // three deep at most
  }
  return goes_on_raw_[inner] = found || !has_begun;
}

// The least spelling of what follows one of the characters from `lo` to `hi`.
struct ExprPool::CharacterWalk {
  ExprPool& pool;
  uint32_t lo, hi;
  std::unordered_map<uint64_t, uint32_t> whole;  // all ways to end a character

  // `begun`: the bits of the character read so far; `left`: bytes that follow them.
  uint32_t least(ExprId at, uint32_t begun, uint32_t left) {
    if (left == 0) return pool.spelled_min(at);
    const uint32_t width = 6 * left;
    const bool is_whole = begun << width >= lo && (begun << width | ((1u << width) - 1)) <= hi;
    const uint64_t key = uint64_t{at} << 2 | left;
    if (is_whole && whole.contains(key)) return whole[key];
    uint32_t found = kInfinite;
    ExprId last = kEmptyExpr;
    for (uint32_t v = 0; v < 64; ++v) {
      const uint32_t code = begun << 6 | v, shift = width - 6;
      if ((code << shift | ((1u << shift) - 1)) < lo || code << shift > hi) continue;
      const ExprId to = pool.next(at, static_cast<uint8_t>(0x80 | v));
      if (to == kEmptyExpr || (is_whole && to == last)) continue;
      last = to;
      found = std::min(found, least(to, code, left - 1));
    }
    if (is_whole) whole[key] = found;
    return found;
  }
};

uint32_t ExprPool::spelled_after(ExprId text, uint32_t lo, uint32_t hi) {
  struct Length {  // of UTF-8, by its first byte
    uint32_t lead, mask, last, n_more;
  };
  constexpr Length kLengths[] = {
      {0, 0x7F, 0x7F, 0}, {0xC0, 0x1F, 0x7FF, 1}, {0xE0, 0x0F, 0xFFFF, 2}, {0xF0, 7, 0x10FFFF, 3}};
  CharacterWalk walk{*this, 0, 0, {}};
  uint32_t found = kInfinite, first = 0;
  for (const Length& length : kLengths) {
    walk.lo = std::max(lo, first);
    walk.hi = std::min(hi, length.last);
    first = length.last + 1;
    if (walk.lo > walk.hi) continue;
    const uint32_t width = 6 * length.n_more;
    ExprId last = kEmptyExpr;
    for (uint32_t begun = walk.lo >> width; begun <= walk.hi >> width; ++begun) {
      const ExprId to = next(text, static_cast<uint8_t>(length.lead | (begun & length.mask)));
      const bool inner = begun << width >= walk.lo &&
                         (begun << width | ((1u << width) - 1)) <= walk.hi;
      if (to == kEmptyExpr || (inner && to == last)) continue;
      if (inner) last = to;
      found = std::min(found, walk.least(to, begun, length.n_more));
    }
  }
  return found;
}

const std::vector<CodeRange>& ExprPool::reach_of(uint32_t escape, EscapeMode mode) {
  const uint64_t key = uint64_t{escape} << 1 | static_cast<uint64_t>(mode);
  const auto known = escape_reach_.find(key);
  if (known != escape_reach_.end()) return known->second;
  return escape_reach_[key] = escape_reach(escape, mode, alphabet_);
}

uint32_t ExprPool::escaped_min(ExprId text, uint32_t escape, EscapeMode mode,
                               const std::vector<uint32_t>& except) {
  uint32_t least = kInfinite;
  for (const Span& s : spans_of(reach_of(escape, mode), escape, alphabet_, except))
    if (s.rest < least)
      least = std::min(least, add_length(s.rest, spelled_after(text, s.lo, s.hi)));
  return add_length(least, 1);
}

// Other keys are alternatives of quoted texts, each with its class as tag.
ExprId ExprPool::quoted_text(ExprId keys, uint32_t tag) const {
  const Expr all = nodes_[keys];
  const bool several = all.kind == ExprKind::kOr;
  const ExprId* part = several ? lists_.begin(all.a) : &keys;
  const ExprId* end = several ? lists_.end(all.a) : &keys + 1;
  for (; part != end; ++part) {
    Expr e = nodes_[*part];
    uint32_t ends_in = 0;
    if (e.kind == ExprKind::kConcat) {
      const Expr& tail = nodes_[e.b];
      ends_in = tail.kind == ExprKind::kTag ? tail.a : kNone;
      e = nodes_[e.a];
    }
    if (e.kind == ExprKind::kQuoted && ends_in == tag) return e.a;
  }
  return kEmptyExpr;
}

}  // namespace constrain
