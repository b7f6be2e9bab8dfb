// Derivatives, byte classes, emptiness and shortest lengths of expressions.
#include <queue>

#include "expr.h"

namespace constrain {

uint64_t ExprPool::ClassMap::hash() const {
  uint64_t h = 0, word;
  for (int i = 0; i < 256; i += 8) {
    std::memcpy(&word, of + i, 8);
    h = mix(h, word);
  }
  return h;
}

uint32_t ExprPool::ClassMap::count() const {
  return 1u + *std::max_element(of, of + 256);
}

uint32_t ExprPool::split_by(const ByteSet& set) {
  ClassMap map;
  const bool first = set.has(0);
  for (unsigned b = 0; b < 256; ++b) map.of[b] = set.has(static_cast<uint8_t>(b)) != first;
  return class_maps_.intern(map);
}

// The common refinement of two partitions, classes numbered by first appearance.
uint32_t ExprPool::meet(uint32_t a, uint32_t b) {
  if (a == b) return a;
  const uint64_t key = uint64_t{std::min(a, b)} << 32 | std::max(a, b);
  const auto found = meets_.find(key);
  if (found != meets_.end()) return found->second;
  const ClassMap &x = class_maps_[a], &y = class_maps_[b];
  const uint32_t width = y.count();
  std::vector<uint16_t> number(size_t{x.count()} * width, 0);  // 0: pair not seen yet
  ClassMap map;
  uint16_t n_pairs = 0;
  for (unsigned i = 0; i < 256; ++i) {
    uint16_t& pair = number[x.of[i] * width + y.of[i]];
    if (!pair) pair = ++n_pairs;
    map.of[i] = static_cast<uint8_t>(pair - 1);
  }
  return meets_[key] = class_maps_.intern(map);
}

uint32_t ExprPool::literal_classes(const Expr& e) {
  const auto& texts = literal_lists_[e.a].texts;
  ClassMap map{};
  uint8_t n = 0;
  bool seen[256] = {};
  for (uint32_t i = e.b; i < e.c; ++i) {
    if (texts[i].size() <= e.d) continue;
    const auto b = static_cast<uint8_t>(texts[i][e.d]);
    if (!seen[b] && n < 255) map.of[b] = ++n;
    seen[b] = true;
  }
  // Classes are numbered by first appearance, so that equal partitions are one map.
  uint8_t renumber[256], next = 0;
  std::memset(renumber, 0xFF, sizeof renumber);
  bool given[256] = {};
  for (unsigned b = 0; b < 256; ++b) {
    const uint8_t old = map.of[b];
    if (!given[old]) {
      given[old] = true;
      renumber[old] = next++;
    }
    map.of[b] = renumber[old];
  }
  return class_maps_.intern(map);
}

uint32_t ExprPool::quoted_classes(const Expr& e) {
  ClassMap singles{};
  if (e.b != kNoEscape) {  // every byte an escape may hold is a class of its own
    uint8_t n = 0;
    for (unsigned b = 0; b < 256; ++b)
      singles.of[b] = b >= 0x21 && b < 0x7F ? static_cast<uint8_t>(b - 0x20) : n;
    return class_maps_.intern(singles);
  }
  for (unsigned b = 0; b < 256; ++b)
    singles.of[b] = b < 0x20 ? 0 : b == '"' ? 2 : b == '\\' ? 3 : 1;
  return meet(class_maps_.intern(singles), class_map_of(e.a));
}

uint32_t ExprPool::class_map_of(ExprId id) {
  if (rows_[id].classes != kNone) return rows_[id].classes;
  const Expr e = nodes_[id];
  uint32_t map = split_by(ByteSet{});
  switch (e.kind) {
    case ExprKind::kEmpty:
    case ExprKind::kTag:
      break;
    case ExprKind::kBytes:
      map = split_by(sets_[e.a]);
      break;
    case ExprKind::kConcat:
      map = class_map_of(e.a);
      if (facts_[e.a].tags & 1) map = meet(map, class_map_of(e.b));
      break;
    case ExprKind::kOr:
    case ExprKind::kAnd:
      for (size_t i = 0; i < lists_.length(e.a); ++i)
        map = meet(map, class_map_of(lists_.begin(e.a)[i]));
      break;
    case ExprKind::kNot:
    case ExprKind::kRepeat:
      map = class_map_of(e.a);
      break;
    case ExprKind::kLiterals:
      map = literal_classes(e);
      break;
    case ExprKind::kQuoted:
      map = quoted_classes(e);
      break;
    case ExprKind::kMultiple: {
      ClassMap digits{};
      if (divisors_[e.a].places) digits.of['.'] = 1;
      const int first = divisors_[e.a].places ? 2 : 1;
      for (int b = 0; b < 10; ++b) digits.of['0' + b] = static_cast<uint8_t>(first + b);
      map = class_maps_.intern(digits);
      break;
    }
  }
  while (class_counts_.size() < class_maps_.size())
    class_counts_.push_back(class_maps_[static_cast<uint32_t>(class_counts_.size())].count());
  rows_[id].classes = map;
  return map;
}

ExprId ExprPool::raw_next(ExprId e, uint8_t byte) {
  const uint32_t classes = class_map_of(e);
  if (rows_[e].targets == kNone) {
    rows_[e].targets = static_cast<uint32_t>(targets_.size());
    targets_.resize(targets_.size() + class_counts_[classes], kNone);
  }
  const size_t slot = rows_[e].targets + class_maps_[classes].of[byte];
  if (targets_[slot] == kNone) {
    const ExprId target = derive(e, byte);
    targets_[slot] = target;
  }
  return targets_[slot];
}

ExprId ExprPool::first_next(ExprId e, uint8_t byte) {
  const ExprId target = raw_next(e, byte);
  return is_alive(target) ? target : kEmptyExpr;
}

ExprId ExprPool::derive(ExprId id, uint8_t byte) {
  const Expr e = nodes_[id];
  switch (e.kind) {
    case ExprKind::kEmpty:
    case ExprKind::kTag:
      return kEmptyExpr;
    case ExprKind::kBytes:
      return sets_[e.a].has(byte) ? kEpsilon : kEmptyExpr;
    case ExprKind::kConcat: {
      const ExprId moved = concat(raw_next(e.a, byte), e.b);
      if (!(facts_[e.a].tags & 1)) return moved;
      return alternatives({moved, raw_next(e.b, byte)});
    }
    case ExprKind::kOr:
    case ExprKind::kAnd:
      return derive_list(id, byte);
    case ExprKind::kNot:
      return negation(raw_next(e.a, byte));
    case ExprKind::kRepeat:
      return concat(raw_next(e.a, byte), repeat(e.a, e.b ? e.b - 1 : 0,
                                                e.c == kInfinite ? kInfinite : e.c - 1));
    case ExprKind::kLiterals:
      return derive_literals(e, byte);
    case ExprKind::kQuoted:
      return derive_quoted(e, byte);
    case ExprKind::kMultiple:
      return derive_multiple(e, byte);
  }
  return kEmptyExpr;
}

ExprId ExprPool::derive_list(ExprId id, uint8_t byte) {
  const Expr e = nodes_[id];
  const size_t n = lists_.length(e.a);
  std::vector<ExprId> parts;
  parts.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    const ExprId part = raw_next(lists_.begin(e.a)[i], byte);
    if (part == kEmptyExpr && e.kind == ExprKind::kAnd) return kEmptyExpr;
    parts.push_back(part);
  }
  return e.kind == ExprKind::kOr ? alternatives(std::move(parts)) : intersection(std::move(parts));
}

ExprId ExprPool::derive_literals(const Expr& e, uint8_t byte) {
  const auto& texts = literal_lists_[e.a].texts;
  const uint32_t d = e.d;
  const auto before = [&](const std::string& text, int wanted) {
    return (text.size() <= d ? -1 : static_cast<int>(static_cast<uint8_t>(text[d]))) < wanted;
  };
  const auto begin = texts.begin() + e.b, end = texts.begin() + e.c;
  const auto lo = std::lower_bound(begin, end, int{byte}, before);
  const auto hi = std::lower_bound(lo, end, int{byte} + 1, before);
  if (lo == hi) return kEmptyExpr;
  const bool weighted = !literal_lists_[e.a].weights.empty();  // the end still has its weight
  if (!weighted && hi - lo == 1 && lo->size() == d + 1) return kEpsilon;
  return make({ExprKind::kLiterals, e.a, static_cast<uint32_t>(lo - texts.begin()),
               static_cast<uint32_t>(hi - texts.begin()), d + 1});
}

ExprId ExprPool::derive_multiple(const Expr& e, uint8_t byte) {
  const auto [divisor, places] = divisors_[e.a];
  Expr to = e;
  if (byte == '.') {
    if (e.d != kDigitRead || places == 0) return kEmptyExpr;
    to.d = kPointRead + places;
  } else if (byte < '0' || byte > '9') {
    return kEmptyExpr;
  } else if (e.d == kPointRead) {  // no place left: zeros change nothing
    return byte == '0' ? make(e) : kEmptyExpr;
  } else {
    const unsigned __int128 remainder = uint64_t{e.c} << 32 | e.b;
    const auto r = static_cast<uint64_t>((remainder * 10 + (byte - '0')) % divisor);
    to.b = static_cast<uint32_t>(r);
    to.c = static_cast<uint32_t>(r >> 32);
    to.d = e.d > kPointRead ? e.d - 1 : kDigitRead;
  }
  return multiple_length(to) == kInfinite ? kEmptyExpr : make(to);
}

// Emptiness is structural but for intersections and complements, where a search decides.
bool ExprPool::is_alive(ExprId id) {
  if (alive_[id]) return alive_[id] == 1;
  const Expr e = nodes_[id];
  bool alive = id != kEmptyExpr;
  if (alive && !facts_[id].tags && facts_[id].searched) {
    switch (e.kind) {
      case ExprKind::kConcat:
        alive = is_alive(e.a) && is_alive(e.b);
        break;
      case ExprKind::kOr:
        alive = false;
        for (size_t i = 0; i < lists_.length(e.a) && !alive; ++i)
          alive = is_alive(lists_.begin(e.a)[i]);
        break;
      case ExprKind::kRepeat:
        alive = is_alive(e.a);
        break;
      case ExprKind::kQuoted:
        alive = is_alive(e.a);
        break;
      default:
        alive = descends(id) || search(id, 0, Spelled::kNot) != kInfinite;
    }
  }
  alive_[id] = alive ? 1 : 2;
  return alive;
}

// Does a walk that always takes the first byte leading nearer to the end arrive? Inside a
// character nearly every state does, and a search would derive it by all its byte classes.
bool ExprPool::descends(ExprId id) {
  constexpr int kMostSteps = 100;
  std::vector<ExprId> path;
  for (int step = 0; step < kMostSteps; ++step) {
    path.push_back(id);
    uint32_t cost[256];
    uint8_t byte[256];
    const uint32_t n_classes = cheapest_bytes(id, Spelled::kNot, false, cost, byte);
    ExprId nearer = kNone;
    for (uint32_t cls = 0; cls < n_classes && nearer == kNone; ++cls) {
      const ExprId to = raw_next(id, byte[cls]);
      if (to == kEmptyExpr || alive_[to] == 2) continue;
      if (facts_[to].tags || alive_[to] == 1) {
        for (const ExprId state : path) alive_[state] = 1;
        return true;
      }
      if (facts_[to].min_len < facts_[id].min_len) nearer = to;
    }
    if (nearer == kNone) return false;
    id = nearer;
  }
  return false;
}

// What a byte of decoded text costs inside a JSON string, in a character that stands as itself
// (an ASCII one in its shortest spelling) or as an escape. kInfinite: it cannot, or need not.
uint32_t ExprPool::spelled_cost(uint8_t byte, bool escaped) const {
  if (byte < 0x80) return escaped ? kInfinite : ascii_length(byte, alphabet_);
  if (!escaped) return alphabet_.has(byte) ? 1 : kInfinite;
  if (byte < 0xC0) return 0;  // paid for with the first byte
  if (alphabet_.has(byte) && alphabet_.w[2] == ~uint64_t{0}) return kInfinite;  // no need
  return byte >= 0xF0 ? 12 : 6;
}

// A* over derivatives: bytes of the shortest match ending in `tag`, with the lower bound that
// every expression carries as the estimate. With `how` the match is decoded text, as written
// inside a JSON string: characters that have a byte outside the alphabet are escaped; one that
// has begun goes on as it began. Exact lengths are kept for the states on the path; all states
// are dead if there is none.
uint32_t ExprPool::search(ExprId start, uint32_t tag, Spelled how) {
  auto& lengths = how == Spelled::kNot ? lengths_ : how == Spelled::kRaw ? spelled_ : escaped_;
  const auto known = lengths.find({start, tag});
  if (known != lengths.end()) return known->second;
  struct Entry {
    uint32_t total, length;
    uint64_t state;
    bool operator<(const Entry& o) const {  // the queue yields its greatest: least total, deepest
      return total != o.total ? total > o.total : length < o.length;
    }
  };
  struct Seen {
    uint32_t length;
    uint64_t parent;
  };
  // States are expressions, and whether the character that has begun is an escape.
  const auto state_of = [](ExprId e, bool escaped) { return uint64_t{e} << 1 | escaped; };
  const uint64_t first = state_of(start, how == Spelled::kEscaped);
  std::unordered_map<uint64_t, Seen> seen{{first, {0, first}}};
  std::priority_queue<Entry> queue;
  queue.push({facts_[start].min_len, 0, first});
  uint64_t hit = ~uint64_t{0};
  while (!queue.empty()) {
    const Entry at = queue.top();
    queue.pop();
    if (at.length > seen[at.state].length) continue;
    const auto from = static_cast<ExprId>(at.state >> 1);
    if (facts_[from].tags >> tag & 1) {
      hit = at.state;
      break;
    }
    const Spelled begun = how == Spelled::kNot ? how : at.state & 1 ? Spelled::kEscaped : Spelled::kRaw;
    for (const bool escaped : {false, true}) {
      if (escaped && (how == Spelled::kNot || !lacks_characters_)) break;
      uint32_t cost[256];
      uint8_t byte[256];
      const uint32_t n_classes = cheapest_bytes(from, begun, escaped, cost, byte);
      for (uint32_t cls = 0; cls < n_classes; ++cls) {
        if (cost[cls] == kInfinite) continue;
        const ExprId to = raw_next(from, byte[cls]);
        if (to == kEmptyExpr || alive_[to] == 2) continue;
        const uint32_t length = at.length + cost[cls];
        const auto [entry, fresh] = seen.try_emplace(state_of(to, escaped), Seen{length, at.state});
        if (!fresh && entry->second.length <= length) continue;
        entry->second = {length, at.state};
        // The rest of an escaped character is paid for: three bytes at most.
        const uint32_t least = facts_[to].min_len;
        const uint32_t rest = escaped && least < kInfinite ? least - std::min(least, 3u) : least;
        queue.push({add_length(length, rest), length, state_of(to, escaped)});
      }
    }
    check_search(seen.size());
  }
  if (hit == ~uint64_t{0}) {
    if (tag == 0 && how == Spelled::kNot)
      for (const auto& [state, from] : seen) alive_[state >> 1] = 2;
    lengths[{start, tag}] = kInfinite;
    return kInfinite;
  }
  const uint32_t total = seen[hit].length;
  for (uint64_t at = hit;; at = seen[at].parent) {
    const auto e = static_cast<ExprId>(at >> 1);
    auto& kept = at & 1 ? escaped_ : how == Spelled::kNot ? lengths_ : spelled_;
    kept.emplace(SearchKey{e, tag}, total - seen[at].length);
    alive_[e] = 1;
    if (at == first) break;
  }
  return total;
}

// For each byte class of a state a byte of least cost with which the text can go on, in a
// character that is `escaped` or not (kInfinite: with none); returns the number of classes.
uint32_t ExprPool::cheapest_bytes(ExprId e, Spelled begun, bool escaped, uint32_t cost[256],
                                  uint8_t byte[256]) {
  const uint32_t classes = class_map_of(e);
  const uint32_t n = class_counts_[classes];
  std::fill_n(cost, n, kInfinite);
  for (unsigned b = 0; b < 256; ++b) {
    const uint8_t cls = class_maps_[classes].of[b];
    uint32_t c = 1;
    if (begun != Spelled::kNot) {
      const bool goes_on = (b & 0xC0) == 0x80;
      if (goes_on && escaped != (begun == Spelled::kEscaped)) continue;
      c = spelled_cost(static_cast<uint8_t>(b), escaped);
    }
    if (c >= cost[cls]) continue;
    cost[cls] = c;
    byte[cls] = static_cast<uint8_t>(b);
  }
  return n;
}

void ExprPool::check_search(size_t n_states) const {
  if (n_states > limits_.search_states)
    throw LimitExceeded("search_states", static_cast<double>(n_states),
                        static_cast<double>(limits_.search_states));
  if (n_states % 64 == 0) check_time();
}

uint32_t ExprPool::structural_min(ExprId id, uint32_t tag) {
  const Expr e = nodes_[id];
  switch (e.kind) {
    case ExprKind::kConcat:
      return add_length(min_length(e.a, 0), min_length(e.b, tag));
    case ExprKind::kOr: {
      uint32_t least = kInfinite;
      for (size_t i = 0; i < lists_.length(e.a); ++i)
        least = std::min(least, min_length(lists_.begin(e.a)[i], tag));
      return least;
    }
    case ExprKind::kRepeat:
      return mul_length(min_length(e.a, 0), e.b);
    case ExprKind::kQuoted:
      // Escapes that JSON does not demand never shorten a string: only its decoded text counts.
      if (e.b == kNoEscape) return add_length(search(e.a, 0, Spelled::kRaw), 1);
      return escaped_min(e.a, e.b, static_cast<EscapeMode>(e.c), {});
    default:
      return search(id, tag, Spelled::kNot);
  }
}

uint32_t ExprPool::min_length(ExprId id, uint32_t tag) {
  const ExprFacts& f = facts_[id];
  if (f.tags >> tag & 1) return 0;
  if (!f.tagged) {
    if (tag) return kInfinite;
    if (f.exact_length) return f.min_len;
  }
  const auto known = lengths_.find({id, tag});
  if (known != lengths_.end()) return known->second;
  const uint32_t length = nodes_[id].kind == ExprKind::kTag ? kInfinite : structural_min(id, tag);
  return lengths_[{id, tag}] = length;
}

bool ExprPool::is_final(ExprId e) {
  if (facts_[e].stuck) return true;
  if (!facts_[e].searched || !facts_[e].tags) return false;
  const auto known = final_.find(e);
  if (known != final_.end()) return known->second;
  const bool nothing = first_bytes(e).empty();
  return final_[e] = nothing;
}

const ByteSet& ExprPool::first_bytes(ExprId e) {
  const auto known = first_.find(e);
  if (known != first_.end()) return known->second;
  ByteSet set;
  const uint32_t classes = class_map_of(e);
  uint8_t verdict[256] = {};  // per class: 0 unknown, 1 leads somewhere, 2 dead
  for (unsigned b = 0; b < 256; ++b) {
    if (!alphabet_.has(static_cast<uint8_t>(b))) continue;
    uint8_t& v = verdict[class_maps_[classes].of[b]];
    if (!v) v = next(e, static_cast<uint8_t>(b)) == kEmptyExpr ? 2 : 1;
    if (v == 1) set.add(static_cast<uint8_t>(b));
  }
  return first_[e] = set;
}

const ByteSet& ExprPool::self_loop(ExprId e) {
  const auto known = loops_.find(e);
  if (known != loops_.end()) return known->second;
  ByteSet set;
  for (unsigned b = 0; b < 256; ++b)
    if (next(e, static_cast<uint8_t>(b)) == e) set.add(static_cast<uint8_t>(b));
  return loops_[e] = set;
}

}  // namespace constrain
