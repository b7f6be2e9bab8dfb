// Keys of objects: which names may still come, and reading one byte by byte.
//
// A key is followed in three places at once: the tree of declared names, the tree of other keys
// this object already has, and the expression for other keys. Names are compared after
// decoding, so an escaped spelling of a declared or used name is that name.
#include "machine.h"

namespace constrain {

uint32_t Machine::initial_state(const ObjectSpec& spec) {
  const auto n = static_cast<uint32_t>(spec.properties.size());
  std::vector<uint32_t> words(kSeen + (has_bits(spec) ? (n + 31) / 32 : 0), 0);
  words[kMissing] = spec.n_required;
  words[kRestCost] = spec.required_cost;
  return arena_.objects.intern(words.data(), words.size());
}

// In schema order only the keys that float need a bit each.
bool Machine::has_bits(const ObjectSpec& spec) const {
  return program_.forms[spec.form].any_order || spec.n_declared < spec.properties.size();
}

bool Machine::seen(const ObjectSpec& spec, const uint32_t* state, uint32_t property) const {
  if (!program_.forms[spec.form].any_order && !spec.properties[property].floating)
    return spec.properties[property].order < state[kPosition];
  return state[kSeen + property / 32] >> (property % 32) & 1;
}

// Can the bounds still be met after one more member: `property`, or kNone for an other key?
bool Machine::fits(const ObjectSpec& spec, const uint32_t* state, uint32_t property) const {
  const PropertySpec* p = property == kNone ? nullptr : &spec.properties[property];
  const uint32_t have = state[kCount] + 1 + state[kMissing] - (p && p->required);
  if (spec.max_properties < kInfinite && have > spec.max_properties) return false;
  if (have >= spec.min_properties || !spec.others.empty()) return true;
  const bool any_order = program_.forms[spec.form].any_order;
  const uint32_t position = !p || p->floating ? spec.n_declared : p->order + 1;
  uint32_t optional = any_order ? 0 : spec.optional_after[position];
  for (uint32_t i = 0; i < spec.properties.size(); ++i) {
    const PropertySpec& other = spec.properties[i];
    if (i == property || other.required || !other.possible) continue;
    if (any_order || other.floating) optional += !seen(spec, state, i);
  }
  return optional >= spec.min_properties - have;
}

bool Machine::may_use(const ObjectSpec& spec, const uint32_t* state, uint32_t property) const {
  if (!spec.demands.empty()) return plan(spec, state).ways[property] != 0;
  const PropertySpec& p = spec.properties[property];
  if (!p.possible || seen(spec, state, property)) return false;
  if (!program_.forms[spec.form].any_order) {
    if (p.floating ? state[kMissing] > 0 : p.order > spec.next_required[state[kPosition]])
      return false;  // a required one would be skipped
  }
  return fits(spec, state, property);
}

bool Machine::may_use_any(const ObjectSpec& spec, const uint32_t* state, uint32_t lo,
                          uint32_t hi) const {
  for (uint32_t i = lo; i < hi; ++i)
    if (may_use(spec, state, i)) return true;
  return false;
}

bool Machine::may_use_other(const ObjectSpec& spec, uint32_t object,
                            const uint32_t* state) const {
  if (spec.others.empty()) return false;
  if (!spec.demands.empty()) {
    if (!plan(spec, state).classes) return false;
    return !spec.may_run_out || has_fresh_name(open_other(spec, object, state), spec);
  }
  if (!program_.forms[spec.form].any_order && state[kMissing]) return false;
  if (!fits(spec, state, kNone)) return false;
  return !spec.may_run_out || has_fresh_name(open_other(spec, object, state), spec);
}

// An other key before its first byte.
Key Machine::open_other(const ObjectSpec& spec, uint32_t object, const uint32_t* state) const {
  Key key;
  key.object = object;
  key.name = spec.properties.empty() ? kNone : 0;
  key.other = spec.demands.empty() ? spec.other : other_keys(spec, state);
  if (state[kUsedNames]) key.used = state[kUsedNames];
  return key;
}

// Is there an other key, not declared and not used, that begins like `key`? Off the trees of
// names every live state has one, so the search ends at the first byte that leaves them.
bool Machine::has_fresh_name(const Key& key, const ObjectSpec& spec) const {
  std::vector<Key> pending{key};
  for (uint64_t n_visited = 0; !pending.empty() && n_visited < limits_.search_states;
       ++n_visited) {
    const Key at = pending.back();
    pending.pop_back();
    if (at.name == kNone && at.used == kNone) return true;
    const bool taken = (at.name != kNone && spec.names.nodes[at.name].terminal) ||
                       arena_.used_terminal(at.used);
    if (at.escape == kNoEscape && !taken && pool_.tags(pool_.next(at.other, '"'))) return true;
    const ByteSet& bytes = pool_.first_bytes(at.other);
    for (unsigned b = 0x20; b < 256; ++b) {
      const auto byte = static_cast<uint8_t>(b);
      if (!bytes.has(byte) || (byte == '"' && at.escape == kNoEscape)) continue;
      Key to = at;
      if (!step_name(to, spec, byte)) continue;
      to.other = pool_.next(at.other, byte);
      if (to.other == ExprPool::kEmptyExpr) continue;
      if (to.name == kNone && to.used == kNone) return true;
      pending.push_back(to);
    }
  }
  return false;
}

bool Machine::can_close(const ObjectSpec& spec, const uint32_t* state) const {
  if (!spec.demands.empty()) return plan(spec, state).may_close;
  return state[kMissing] == 0 && state[kCount] >= spec.min_properties;
}

bool Machine::can_continue(const ObjectSpec& spec, uint32_t object,
                           const uint32_t* state) const {
  return may_use_other(spec, object, state) ||
         may_use_any(spec, state, 0, static_cast<uint32_t>(spec.properties.size()));
}

// The state once `property` (kNone: an other key) has been read.
uint32_t Machine::state_after(const ObjectSpec& spec, const uint32_t* state, uint32_t property,
                              uint32_t used_names, uint32_t settles) {
  const bool any_order = program_.forms[spec.form].any_order;
  const auto n = static_cast<uint32_t>(spec.properties.size());
  const PropertySpec* declared =
      property == kNone || spec.properties[property].floating ? nullptr : &spec.properties[property];
  if (!any_order && !spec.demands.empty())
    settles |= program_.settled_by_skipping(spec, state[kPosition],
                                            declared ? declared->order : spec.n_declared);
  std::vector<uint32_t> words(state, state + kSeen + (has_bits(spec) ? (n + 31) / 32 : 0));
  // Without an upper bound, counts above the lower one are alike.
  const uint32_t alike = std::max(spec.min_properties, spec.saturation);
  if (spec.max_properties < kInfinite || words[kCount] < alike) ++words[kCount];
  words[kUsedNames] = used_names;
  words[kSettled] |= settles;
  if (property == kNone) {
    if (!any_order) words[kPosition] = spec.n_declared;
  } else {
    const PropertySpec& p = spec.properties[property];
    if (p.required) {
      --words[kMissing];
      words[kRestCost] -= p.cost + program_.forms[spec.form].comma_len;
    }
    if (any_order || p.floating) words[kSeen + property / 32] |= 1u << (property % 32);
    if (!any_order) words[kPosition] = p.floating ? spec.n_declared : p.order + 1;
  }
  return arena_.objects.intern(words.data(), words.size());
}

Key Machine::new_key(const Cell& cell) const {
  const ObjectSpec& spec = program_.objects[cell.node];
  const uint32_t* state = arena_.objects.begin(cell.state);
  Key key = open_other(spec, cell.node, state);
  if (!may_use_other(spec, cell.node, state)) {
    key.other = ExprPool::kEmptyExpr;
    key.used = kNone;
  }
  return key;
}

void Machine::open_key(const Cell& cell, Closure& work) {
  Cell reading = cell;
  reading.phase = Phase::kKey;
  const Key key = new_key(cell);
  emit(kKeyBit | arena_.keys.intern(key), make_cell(reading), work);
}

void Machine::advance_name(Key& key, const ObjectSpec& spec, uint8_t byte) const {
  if (key.name != kNone) key.name = spec.names.child(key.name, byte);
  key.used = arena_.used_child(key.used, byte);
}

bool Machine::step_name(Key& key, const ObjectSpec& spec, uint8_t byte) const {
  if (key.escape == kNoEscape) {
    if (byte == '\\') {
      key.escape = kAfterBackslash;
    } else if (byte < 0x20 || byte == '"' || !pool_.alphabet().has(byte)) {
      return false;
    } else {
      advance_name(key, spec, byte);
    }
  } else {
    const EscapeStep step = escape_step(key.escape, byte, program_.forms[spec.form].escapes);
    if (step.outcome == EscapeStep::kDead) return false;
    key.escape = step.outcome == EscapeStep::kPending ? step.value : kNoEscape;
    if (step.outcome == EscapeStep::kChar) {
      uint8_t utf8[4];
      const int n = encode_utf8(step.value, utf8);
      for (int i = 0; i < n; ++i) advance_name(key, spec, utf8[i]);
    }
  }
  return true;
}

bool Machine::names_alive(const Key& key, const Cell& cell) const {
  if (key.name == kNone) return false;
  const ObjectSpec& spec = program_.objects[cell.node];
  const uint32_t* state = arena_.objects.begin(cell.state);
  if (key.escape != kNoEscape) return name_reaches(spec, state, key.name, key.escape);
  const NameTree::Node& node = spec.names.nodes[key.name];
  const ByteSet& alphabet = pool_.alphabet();
  if (alphabet.w[2] == ~uint64_t{0}) return may_use_any(spec, state, node.lo, node.hi);
  // Not every character that has begun can go on: bytes are missing that would.
  const uint32_t depth = name_depth(spec, key.name);
  for (uint32_t i = node.lo; i < node.hi; ++i)
    if (spelled_length(spec.properties[i].name, depth, alphabet) < kInfinite &&
        may_use(spec, state, i))
      return true;
  return false;
}

bool Machine::may_go_on(const Key& key, const Cell& cell) const {
  if (names_alive(key, cell)) return true;
  return key.other != ExprPool::kEmptyExpr && has_fresh_name(key, program_.objects[cell.node]);
}

// Bytes that all names below `name` share: those of the first, up to it.
uint32_t Machine::name_depth(const ObjectSpec& spec, uint32_t name) const {
  const std::string& first = spec.properties[spec.names.nodes[name].lo].name;
  uint32_t depth = 0;
  for (uint32_t at = 0; at != name; ++depth)
    at = spec.names.child(at, static_cast<uint8_t>(first[depth]));
  return depth;
}

// Does the name go on after `depth` bytes with a character that the escape can become?
bool Machine::escape_spells(const ObjectSpec& spec, uint32_t property, uint32_t depth,
                            uint32_t escape) const {
  const std::string& text = spec.properties[property].name;
  if (text.size() <= depth) return false;
  if ((static_cast<uint8_t>(text[depth]) & 0xC0) == 0x80) return false;  // inside a character
  size_t at = depth;
  const uint32_t code = decode_utf8(text, at);
  const auto& ranges = pool_.reach_of(escape, program_.forms[spec.form].escapes);
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const CodeRange& r) { return r.lo <= code && code <= r.hi; });
}

// Does a usable name below `name` go on with a character that the escape can become?
bool Machine::name_reaches(const ObjectSpec& spec, const uint32_t* state, uint32_t name,
                           uint32_t escape) const {
  const NameTree::Node& node = spec.names.nodes[name];
  const uint32_t depth = name_depth(spec, name);
  for (uint32_t i = node.lo; i < node.hi; ++i)
    if (escape_spells(spec, i, depth, escape) && may_use(spec, state, i)) return true;
  return false;
}

bool Machine::step_key(Key& key, const Cell& cell, uint8_t byte) {
  const Key before = key;
  if (!step_name(key, program_.objects[cell.node], byte)) return false;
  const bool names = names_alive(key, cell);
  if (key.other == ExprPool::kEmptyExpr) return names;
  const ObjectSpec& spec = program_.objects[cell.node];
  key.other = pool_.next(before.other, byte);
  if (spec.may_run_out && key.other != ExprPool::kEmptyExpr && !has_fresh_name(key, spec))
    key.other = ExprPool::kEmptyExpr;
  if (key.other == ExprPool::kEmptyExpr) {
    key.prefix = 0;
    key.used = kNone;
    return names;
  }
  if (key.escape == kNoEscape) {  // a character has been read: remember its decoded bytes
    uint8_t utf8[4] = {byte};
    int n = 1;
    if (before.escape != kNoEscape)
      n = encode_utf8(
          escape_step(before.escape, byte, program_.forms[spec.form].escapes).value, utf8);
    for (int i = 0; i < n; ++i) key.prefix = arena_.prefixes.intern({key.prefix, utf8[i]});
  }
  return true;
}

void Machine::close_key(const Key& key, CellId id, Threads& out) {
  Cell cell = arena_.cells[id];
  const ObjectSpec& spec = program_.objects[cell.node];
  const uint32_t* state = arena_.objects.begin(cell.state);
  if (key.name != kNone && spec.names.nodes[key.name].terminal) {
    const uint32_t property = spec.names.nodes[key.name].lo;
    if (!may_use(spec, state, property)) return;
    if (!spec.demands.empty()) {
      begin_ways(cell, property, 0, state[kUsedNames], out);
      return;
    }
    cell.state = state_after(spec, state, property, state[kUsedNames]);
    begin_value(cell, spec.properties[property].value, out);
    return;
  }
  if (key.other == ExprPool::kEmptyExpr || arena_.used_terminal(key.used)) return;
  uint64_t tags = pool_.tags(pool_.next(key.other, '"'));
  if (!tags) return;
  const uint32_t used = arena_.used_insert(state[kUsedNames], arena_.prefix_text(key.prefix));
  if (!spec.demands.empty()) {
    for (uint32_t tag = 0; tags; tags >>= 1, ++tag)
      if (tags & 1) begin_ways(cell, kNone, tag, used, out);
    return;
  }
  cell.state = state_after(spec, arena_.objects.begin(cell.state), kNone, used);
  for (uint32_t tag = 0; tags; tags >>= 1, ++tag)
    if (tags & 1) begin_value(cell, spec.others[tag].value, out);
}

void Machine::close_unnamed(CellId id, uint32_t tag, Threads& out) {
  Cell cell = arena_.cells[id];
  const ObjectSpec& spec = program_.objects[cell.node];
  const uint32_t* state = arena_.objects.begin(cell.state);
  if (!spec.demands.empty()) {
    begin_ways(cell, kNone, tag, state[kUsedNames], out);
    return;
  }
  cell.state = state_after(spec, state, kNone, state[kUsedNames]);
  begin_value(cell, spec.others[tag].value, out);
}

// A key has been read: its colon and value follow.
void Machine::begin_value(Cell cell, uint32_t value, Threads& out) {
  cell.a = value;
  cell.phase = Phase::kValue;
  Closure work = closure(out);
  read_value(cell, value, kPlaceColon, work);
  run(work);
}

}  // namespace constrain
