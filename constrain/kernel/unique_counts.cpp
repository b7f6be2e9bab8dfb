// How many values the items of unique arrays have, and how long the shortest of them are.
//
// Most have more than any array will have items (plenty); then nothing can run out, and masks
// need not know what was read. What `min_items` demands is counted when the grammar is compiled.
#include <map>
#include <queue>
#include <unordered_set>

#include "forms.h"
#include "machine.h"

namespace constrain {

namespace {

constexpr size_t kMostSteps = 65'536;  // derivatives looked at before it counts as few

}  // namespace

// Layer by layer of length: are there kPlenty texts?
bool ExprPool::has_plenty_texts(ExprId e) {
  std::map<ExprId, uint64_t> layer;
  if (is_alive(e)) layer[e] = 1;
  uint64_t n_found = 0;
  for (size_t n_steps = 0; !layer.empty() && n_steps < kMostSteps;) {
    std::map<ExprId, uint64_t> next_layer;
    for (const auto& [state, count] : layer) {
      if (facts_[state].tags) n_found += count;
      if (n_found >= kPlenty) return true;
      for (unsigned b = 0; b < 256; ++b, ++n_steps) {
        const ExprId to = next(state, static_cast<uint8_t>(b));
        if (to == kEmptyExpr) continue;
        uint64_t& there = next_layer[to];
        there = std::min<uint64_t>(there + count, kPlenty);
      }
    }
    layer.swap(next_layer);
  }
  return false;
}

// Digits other than 0 at the same place of a number make different numbers.
bool ExprPool::has_plenty_digits(ExprId e) {
  constexpr int kDigits = 5;  // 9^5 > kPlenty
  std::map<ExprId, uint64_t> layer{{e, 1}};
  for (int i = 0; i < kDigits; ++i) {
    std::map<ExprId, uint64_t> next_layer;
    for (const auto& [state, count] : layer)
      for (uint8_t b = '1'; b <= '9'; ++b)
        if (const ExprId to = next(state, b); to != kEmptyExpr) next_layer[to] += count;
    layer.swap(next_layer);
  }
  uint64_t n_found = 0;
  for (const auto& [state, count] : layer) n_found += count;
  return n_found >= kPlenty;
}

bool ExprPool::has_plenty(ExprId start) {
  const auto known = plenty_.find(start);
  if (known != plenty_.end()) return known->second;
  bool found = is_alive(start) && has_plenty_digits(start);
  std::vector<ExprId> pending{start};
  while (!pending.empty() && !found) {
    const Expr e = nodes_[pending.back()];
    pending.pop_back();
    if (e.kind == ExprKind::kQuoted) {
      found = e.b == kNoEscape && has_plenty_texts(e.a);
    } else if (e.kind == ExprKind::kOr) {
      pending.insert(pending.end(), lists_.begin(e.a), lists_.end(e.a));
    } else if (e.kind == ExprKind::kConcat) {
      pending.push_back(e.a);
      ByteSet before = first_bytes(e.a);  // white space, and the mark that opens a string
      for (const char c : {' ', '\t', '\n', '\r', '"'})
        before.w[static_cast<uint8_t>(c) >> 6] &= ~(uint64_t{1} << (c & 63));
      if (before.empty()) {
        pending.push_back(e.b);
        found = has_plenty_digits(e.b);
      }
    }
  }
  return plenty_[start] = found;
}

// --- whole values

bool Program::object_has_plenty(const ObjectSpec& spec) const {
  const bool has_room = spec.n_required < spec.max_properties;
  for (const PropertySpec& p : spec.properties)
    if (p.possible && (p.required || has_room) && plenty_[p.value]) return true;
  for (const auto& others : spec.others)
    if (has_room && spec.properties.size() < kPlenty / 2 && pool.has_plenty_texts(others.key))
      return true;
  return false;
}

bool Program::array_has_plenty(const ArraySpec& spec) const {
  const auto n_prefix = static_cast<uint32_t>(spec.prefix.size());
  const uint32_t n_places = spec.unique ? std::max(spec.min_items, 1u) : n_prefix + 1;
  for (uint32_t i = 0; i < std::min(n_places, n_prefix + 1); ++i) {
    const uint32_t value = value_of_item(spec, i);
    if (value == kNone) return false;
    if (plenty_[value]) return true;
  }
  return !spec.unique && spec.max_items == kInfinite;
}

// Values of which texts of this one can hold some.
std::vector<uint32_t> Program::usable_children(uint32_t id) const {
  std::vector<uint32_t> children;
  for (const uint32_t o : values[id].objects) {
    const ObjectSpec& spec = objects[o];
    const bool has_room = spec.n_required < spec.max_properties;
    for (const PropertySpec& p : spec.properties)
      if (p.possible && (p.required || has_room)) children.push_back(p.value);
    for (const auto& others : spec.others)
      if (has_room && !spec.may_run_out) children.push_back(others.value);
  }
  for (const uint32_t a : values[id].arrays) {
    const ArraySpec& spec = arrays[a];
    const auto n_places = spec.unique ? 1 : static_cast<uint32_t>(spec.prefix.size()) + 1;
    for (uint32_t i = 0; i < n_places && value_of_item(spec, i) != kNone; ++i)
      children.push_back(value_of_item(spec, i));
  }
  return children;
}

void Program::find_plenty() {
  plenty_.assign(values.size(), false);
  const auto is_unique = [](const ArraySpec& a) { return a.unique; };
  if (std::none_of(arrays.begin(), arrays.end(), is_unique)) return;
  // What can be nested without end has values without end: leaves are taken away until none is
  // left.
  std::vector<std::vector<uint32_t>> parents(values.size());
  std::vector<uint32_t> n_children(values.size(), 0), leaves;
  for (uint32_t v = 0; v < values.size(); ++v) {
    for (const uint32_t child : usable_children(v)) {
      parents[child].push_back(v);
      ++n_children[v];
    }
    if (n_children[v] == 0) leaves.push_back(v);
  }
  std::vector<bool> is_leaf(values.size(), false);
  for (size_t i = 0; i < leaves.size(); ++i) {
    is_leaf[leaves[i]] = true;
    for (const uint32_t parent : parents[leaves[i]])
      if (--n_children[parent] == 0) leaves.push_back(parent);
  }
  for (uint32_t v = 0; v < values.size(); ++v)
    plenty_[v] = values[v].min_len < kInfinite &&
                 (!is_leaf[v] || pool.has_plenty(values[v].scalar));
  for (bool changed = true; changed;) {
    changed = false;
    for (uint32_t v = 0; v < values.size(); ++v) {
      if (plenty_[v]) continue;
      bool found = false;
      for (const uint32_t o : values[v].objects) found = found || object_has_plenty(objects[o]);
      for (const uint32_t a : values[v].arrays) found = found || array_has_plenty(arrays[a]);
      plenty_[v] = found;
      changed |= found;
    }
  }
}

// --- counting

void Machine::shortest_values(uint32_t id, uint32_t n, std::vector<std::string>& texts) {
  const Value& value = program_.values[id];
  const ExprId lexeme =
      value_lexeme(pool_, value.scalar, !value.objects.empty(), !value.arrays.empty());
  if (!pool_.is_alive(lexeme)) return;
  Level level;
  level.cell = make_cell({FrameKind::kValue, Phase::kValue, id, 0, 0, 0});
  struct Node {
    Thread thread;
    uint32_t length, from;
    char byte;
  };
  const auto later = [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  };
  using Entry = std::pair<uint32_t, uint32_t>;  // total length, node
  std::priority_queue<Entry, std::vector<Entry>, decltype(later)> queue(later);
  std::vector<Node> nodes;
  std::unordered_set<uint64_t> seen;
  std::unordered_set<ItemId> found;
  const auto add = [&](const Thread& thread, uint32_t length, uint32_t from, char byte) {
    if (!seen.insert(uint64_t{thread.lexeme} << 32 | thread.cell).second) return;
    const uint32_t rest = potential(untracked(thread));
    if (rest == kInfinite) return;
    nodes.push_back({thread, length, from, byte});
    queue.push({length + rest, static_cast<uint32_t>(nodes.size() - 1)});
  };
  const uint32_t first = make_level(level);
  add({kTrackBit | arena_.tracked.intern({lexeme, first}), level.cell}, 0, kNone, 0);
  Threads out;
  while (!queue.empty() && texts.size() < n) {
    const uint32_t at = queue.top().second;
    queue.pop();
    const Thread thread = nodes[at].thread;
    const Tracked tracked = arena_.tracked[thread.lexeme & ~kTrackBit];
    if (tracked.lexeme == kFinished) {
      if (!found.insert(arena_.items.value_of(arena_.levels[tracked.level].reading)).second)
        continue;
      texts.emplace_back();
      for (uint32_t node = at; nodes[node].from != kNone; node = nodes[node].from)
        texts.back().insert(texts.back().begin(), nodes[node].byte);
      continue;
    }
    if (spells_alike(thread)) continue;
    const ByteSet bytes = first_bytes(untracked(thread));
    for (unsigned b = 0; b < 256; ++b) {
      if (!bytes.has(static_cast<uint8_t>(b))) continue;
      out.clear();
      step(thread, static_cast<uint8_t>(b), out);
      for (const Thread& t : out) add(t, nodes[at].length + 1, at, static_cast<char>(b));
    }
    if (nodes.size() > limits_.search_states)
      throw LimitExceeded("search_states", static_cast<double>(nodes.size()),
                          static_cast<double>(limits_.search_states));
  }
}

// Lengths of the first `n` texts of a value that is any one string; empty if it is another.
std::vector<uint32_t> Machine::string_lengths(const Value& value, uint32_t n) {
  ByteSet mark;
  mark.add('"');
  if (!value.objects.empty() || !value.arrays.empty()) return {};
  if (!(pool_.first_bytes(value.scalar) == mark)) return {};
  const Expr rest = pool_.node(pool_.next(value.scalar, '"'));
  if (rest.kind != ExprKind::kQuoted || rest.b != kNoEscape) return {};
  std::vector<uint32_t> lengths = pool_.shortest_texts(rest.a, n);
  for (uint32_t& length : lengths) length += 2;
  return lengths.size() == n ? lengths : std::vector<uint32_t>();
}

void Machine::count_items(uint32_t array) {
  ArraySpec& spec = program_.arrays[array];
  const uint32_t n = spec.min_items;
  if (n > limits_.search_states)
    throw LimitExceeded("search_states", n, static_cast<double>(limits_.search_states));
  std::vector<std::vector<uint32_t>> lengths(n);
  std::vector<std::vector<std::string>> few(n);
  uint32_t n_few = 0;
  for (uint32_t i = 0; i < n; ++i) {
    if (i > spec.prefix.size()) {
      lengths[i] = lengths[i - 1];
      few[i] = few[i - 1];
    } else {
      const uint32_t value = program_.value_of_item(spec, i);
      lengths[i] = string_lengths(program_.values[value], n);
      if (lengths[i].empty()) shortest_values(value, n, few[i]);
      for (const std::string& text : few[i])
        lengths[i].push_back(static_cast<uint32_t>(text.size()));
      if (few[i].size() == n) few[i].clear();
    }
    n_few += !few[i].empty();
  }
  spec.costs.resize(n);
  uint32_t n_later = n_few;  // their values may not be at hand
  for (uint32_t i = 0; i < n; ++i) {
    n_later -= !few[i].empty();
    spec.costs[i] = lengths[i].empty()  ? kInfinite
                    : !few[i].empty()   ? lengths[i].back()
                                        : lengths[i][std::min(i + n_later, n - 1)];
  }
  if (n_few) spec.few = std::move(few);
  if (n_few && !can_choose(spec, array, 0, JsonValues::kNoItems)) spec.costs[0] = kInfinite;
}

bool Machine::count_unique() {
  bool any = false;
  for (uint32_t a = 0; a < program_.arrays.size(); ++a) {
    const ArraySpec& spec = program_.arrays[a];
    if (!spec.unique || spec.min_items < 2 || spec.min_len == kInfinite) continue;
    count_items(a);
    any = true;
  }
  return any;
}

}  // namespace constrain
