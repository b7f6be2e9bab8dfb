// Keys of objects: which names may still come, and reading one byte by byte.
//
// A key is followed in three places at once: the tree of declared names, the tree of other keys
// this object already has, and the expression for other keys. Names are compared after
// decoding, so an escaped spelling of a declared or used name is that name.
#include "machine.h"

namespace constrain {

uint32_t Machine::initial_state(const ObjectSpec& spec) {
  const auto n = static_cast<uint32_t>(spec.properties.size());
  const bool bits = program_.forms[spec.form].any_order;
  std::vector<uint32_t> words(kSeen + (bits ? (n + 31) / 32 : 0), 0);
  words[kMissing] = spec.n_required;
  words[kRestCost] = spec.required_cost;
  return arena_.objects.intern(words.data(), words.size());
}

bool Machine::seen(const ObjectSpec& spec, const uint32_t* state, uint32_t property) const {
  if (!program_.forms[spec.form].any_order)
    return spec.properties[property].order < state[kPosition];
  return state[kSeen + property / 32] >> (property % 32) & 1;
}

// With `count` members and `missing` required ones to come, can the bounds still be met?
bool Machine::fits(const ObjectSpec& spec, uint32_t count, uint32_t missing,
                   uint32_t position) const {
  if (spec.max_properties < kInfinite && count + missing > spec.max_properties) return false;
  if (count + missing >= spec.min_properties || spec.additional != kNone) return true;
  const bool any_order = program_.forms[spec.form].any_order;
  // Without other keys every member but the required ones seen is an optional property.
  const uint32_t optional =
      any_order ? spec.optional_after[0] - (count - (spec.n_required - missing))
                : spec.optional_after[position];
  return count + missing + optional >= spec.min_properties;
}

bool Machine::may_use(const ObjectSpec& spec, const uint32_t* state, uint32_t property) const {
  const PropertySpec& p = spec.properties[property];
  if (!p.possible || seen(spec, state, property)) return false;
  uint32_t position = 0;
  if (!program_.forms[spec.form].any_order) {
    if (p.order > spec.next_required[state[kPosition]]) return false;  // skips a required one
    position = p.order + 1;
  }
  return fits(spec, state[kCount] + 1, state[kMissing] - p.required, position);
}

bool Machine::may_use_any(const ObjectSpec& spec, const uint32_t* state, uint32_t lo,
                          uint32_t hi) const {
  for (uint32_t i = lo; i < hi; ++i)
    if (may_use(spec, state, i)) return true;
  return false;
}

bool Machine::may_use_other(const ObjectSpec& spec, const uint32_t* state) const {
  if (spec.additional == kNone) return false;
  if (!program_.forms[spec.form].any_order && state[kMissing]) return false;
  return fits(spec, state[kCount] + 1, state[kMissing],
              static_cast<uint32_t>(spec.properties.size()));
}

bool Machine::can_close(const ObjectSpec& spec, const uint32_t* state) const {
  return state[kMissing] == 0 && state[kCount] >= spec.min_properties;
}

bool Machine::can_continue(const ObjectSpec& spec, const uint32_t* state) const {
  return may_use_other(spec, state) ||
         may_use_any(spec, state, 0, static_cast<uint32_t>(spec.properties.size()));
}

// The state once `property` (kNone: an other key) has been read.
uint32_t Machine::state_after(const ObjectSpec& spec, const uint32_t* state, uint32_t property,
                              uint32_t used_names) {
  const bool any_order = program_.forms[spec.form].any_order;
  const auto n = static_cast<uint32_t>(spec.properties.size());
  std::vector<uint32_t> words(state, state + kSeen + (any_order ? (n + 31) / 32 : 0));
  // Without an upper bound, counts above the lower one are alike.
  if (spec.max_properties < kInfinite || words[kCount] < spec.min_properties) ++words[kCount];
  words[kUsedNames] = used_names;
  if (property == kNone) {
    if (!any_order) words[kPosition] = n;
  } else {
    const PropertySpec& p = spec.properties[property];
    if (p.required) {
      --words[kMissing];
      words[kRestCost] -= p.cost + program_.forms[spec.form].comma_len;
    }
    if (any_order)
      words[kSeen + property / 32] |= 1u << (property % 32);
    else
      words[kPosition] = p.order + 1;
  }
  return arena_.objects.intern(words.data(), words.size());
}

Key Machine::new_key(const Cell& cell) const {
  const ObjectSpec& spec = program_.objects[cell.node];
  const uint32_t* state = arena_.objects.begin(cell.state);
  Key key;
  key.object = cell.node;
  key.name = spec.properties.empty() ? kNone : 0;
  if (may_use_other(spec, state)) {
    key.other = spec.other;
    if (state[kUsedNames]) key.used = state[kUsedNames];
  }
  return key;
}

void Machine::open_key(const Cell& cell, Closure& work) {
  Cell reading = cell;
  reading.phase = Phase::kKey;
  const Key key = new_key(cell);
  work.out.push_back({kKeyBit | arena_.keys.intern(key), make_cell(reading)});
}

void Machine::advance_name(Key& key, const ObjectSpec& spec, uint8_t byte) const {
  if (key.name != kNone) key.name = spec.names.child(key.name, byte);
  key.used = arena_.used_child(key.used, byte);
}

bool Machine::step_name(Key& key, const ObjectSpec& spec, uint8_t byte) const {
  if (key.escape == kNoEscape) {
    if (byte == '\\') {
      key.escape = kAfterBackslash;
    } else if (byte < 0x20 || byte == '"') {
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
  return may_use_any(spec, state, node.lo, node.hi);
}

// Does a usable name below `name` go on with a character that the escape can become?
bool Machine::name_reaches(const ObjectSpec& spec, const uint32_t* state, uint32_t name,
                           uint32_t escape) const {
  const auto ranges = escape_reach(escape, program_.forms[spec.form].escapes, pool_.alphabet());
  const NameTree::Node& node = spec.names.nodes[name];
  uint32_t depth = 0;  // bytes that all names of the node share: those of its first, up to it
  for (uint32_t at = 0; at != name; ++depth)
    at = spec.names.child(at, static_cast<uint8_t>(spec.properties[node.lo].name[depth]));
  for (uint32_t i = node.lo; i < node.hi; ++i) {
    const std::string& text = spec.properties[i].name;
    if (text.size() <= depth || !may_use(spec, state, i)) continue;
    const auto lead = static_cast<uint8_t>(text[depth]);
    const int n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t code = n == 1 ? lead : lead & (0xFFu >> (n + 1));
    for (int k = 1; k < n; ++k) code = code << 6 | (static_cast<uint8_t>(text[depth + static_cast<uint32_t>(k)]) & 0x3F);
    for (const CodeRange r : ranges)
      if (r.lo <= code && code <= r.hi) return true;
  }
  return false;
}

bool Machine::step_key(Key& key, const Cell& cell, uint8_t byte) {
  const Key before = key;
  if (!step_name(key, program_.objects[cell.node], byte)) return false;
  const bool names = names_alive(key, cell);
  if (key.other == ExprPool::kEmptyExpr) return names;
  key.other = pool_.next(before.other, byte);
  if (key.other == ExprPool::kEmptyExpr) {
    key.prefix = 0;
    key.used = kNone;
    return names;
  }
  if (key.escape == kNoEscape) {  // a character has been read: remember its decoded bytes
    uint8_t utf8[4] = {byte};
    int n = 1;
    if (before.escape != kNoEscape)
      n = encode_utf8(escape_step(before.escape, byte,
                                  program_.forms[program_.objects[cell.node].form].escapes).value,
                      utf8);
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
    cell.state = state_after(spec, state, property, state[kUsedNames]);
    cell.a = spec.properties[property].value;
  } else {
    if (key.other == ExprPool::kEmptyExpr || arena_.used_terminal(key.used)) return;
    if (!(pool_.tags(pool_.next(key.other, '"')) & 1)) return;
    const uint32_t used = arena_.used_insert(state[kUsedNames], arena_.prefix_text(key.prefix));
    cell.state = state_after(spec, arena_.objects.begin(cell.state), kNone, used);
    cell.a = spec.additional;
  }
  cell.phase = Phase::kValue;
  Closure work = closure(out);
  read_value(cell, cell.a, kPlaceColon, work);
  run(work);
}

void Machine::close_unnamed(CellId id, Threads& out) {
  Cell cell = arena_.cells[id];
  const ObjectSpec& spec = program_.objects[cell.node];
  const uint32_t* state = arena_.objects.begin(cell.state);
  cell.state = state_after(spec, state, kNone, state[kUsedNames]);
  cell.a = spec.additional;
  cell.phase = Phase::kValue;
  Closure work = closure(out);
  read_value(cell, cell.a, kPlaceColon, work);
  run(work);
}

}  // namespace constrain
