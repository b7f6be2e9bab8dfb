// Shortest completions: how many bytes a thread needs at least until the whole text is done.
//
// Cells carry the bytes that are needed below them, so a thread's potential is a few additions.
// It is exact but for other keys that several `minProperties` force, where it is a bound that
// can always be kept.
#include "machine.h"

namespace constrain {

uint32_t Machine::done_length(const Cell& cell) const {
  const uint32_t below = arena_.cell_facts[cell.parent].done;
  switch (cell.kind) {
    case FrameKind::kRoot:
      return 0;
    case FrameKind::kSequence:
      return add_length(program_.nodes[cell.node].rest[cell.a], below);
    case FrameKind::kRepeat: {
      const GrammarNode& node = program_.nodes[cell.node];
      const uint32_t rounds = node.min > cell.a ? node.min - cell.a : 0;
      return add_length(mul_length(program_.nodes[node.children[0]].min_len, rounds), below);
    }
    case FrameKind::kValue:
      return below;
    case FrameKind::kObject: {
      const ObjectSpec& spec = program_.objects[cell.node];
      const uint32_t rest = members_rest(spec, arena_.objects.begin(cell.state));
      return add_length(add_length(rest, program_.forms[spec.form].object_close_len), below);
    }
    case FrameKind::kArray: {
      const ArraySpec& spec = program_.arrays[cell.node];
      const uint32_t rest = program_.items_rest(spec, cell.a);
      return add_length(add_length(rest, program_.forms[spec.form].array_close_len), below);
    }
    case FrameKind::kTallied: {
      const ArraySpec& spec = program_.arrays[cell.node];
      const uint32_t rest = tallied_rest(cell.node, tally_words(cell));
      return add_length(add_length(rest, program_.forms[spec.form].array_close_len), below);
    }
  }
  return kInfinite;
}

// The members that min_properties still demands beyond the required ones.
// `counts`: count, position, missing (the first words of a state, perhaps after one more key).
uint32_t Machine::extras_cost(const ObjectSpec& spec, const uint32_t* state,
                              const uint32_t* counts, uint32_t except, uint32_t n_new,
                              bool takes_short) const {
  const uint32_t have = counts[kCount] + counts[kMissing];
  if (have >= spec.min_properties) return 0;
  std::vector<uint32_t> optional;
  const bool any_order = program_.forms[spec.form].any_order;
  for (const uint32_t i : spec.cheapest) {
    const bool by_bit = any_order || spec.properties[i].floating;
    const bool passed =
        by_bit ? seen(spec, state, i) : spec.properties[i].order < counts[kPosition];
    if (!passed && i != except) optional.push_back(spec.properties[i].cost);
  }
  const bool short_taken = takes_short || arena_.used_terminal(state[kUsedNames]);
  const uint32_t n_used = arena_.used_size(state[kUsedNames]) + n_new;
  return program_.cheapest_members(spec, optional, spec.min_properties - have,
                                   Program::keys_taken(spec, n_used, short_taken));
}

uint32_t Machine::members_rest(const ObjectSpec& spec, const uint32_t* state) const {
  if (!spec.demands.empty()) return plan(spec, state).rest;
  return add_length(state[kRestCost], extras_cost(spec, state, state, kNone, 0, false));
}

// The same after one more member: declared `property`, or kNone for an other key (the shortest
// one there is, if `takes_short`).
uint32_t Machine::rest_after(const ObjectSpec& spec, const uint32_t* state,
                             uint32_t property, bool takes_short) const {
  uint32_t counts[3] = {state[kCount] + 1, state[kPosition], state[kMissing]};
  uint32_t rest = state[kRestCost];
  if (property == kNone) {
    counts[kPosition] = spec.n_declared;
  } else {
    const PropertySpec& p = spec.properties[property];
    counts[kPosition] = p.floating ? spec.n_declared : p.order + 1;
    if (p.required) {
      --counts[kMissing];
      rest -= p.cost + program_.forms[spec.form].comma_len;
    }
  }
  return add_length(rest, extras_cost(spec, state, counts, property, property == kNone, takes_short));
}

// Bytes after the colon of a member: its value, and what is needed then.
uint32_t Machine::after_key(const ObjectSpec& spec, const uint32_t* state,
                            uint32_t property) const {
  if (!spec.demands.empty()) return plan(spec, state).costs[property];
  return add_length(program_.values[spec.properties[property].value].min_len,
                    rest_after(spec, state, property));
}

uint32_t Machine::after_other_key(const ObjectSpec& spec, const uint32_t* state, uint32_t tag,
                                  bool takes_short) const {
  if (!spec.demands.empty()) {
    const MemberPlan& known = plan(spec, state);
    return takes_short ? known.short_costs[tag] : known.other_costs[tag];
  }
  return add_length(program_.values[spec.others[tag].value].min_len,
                    rest_after(spec, state, kNone, takes_short));
}

// Bytes from the opening quotation mark of the next key to the end of the last member.
uint32_t Machine::member_cost(const ObjectSpec& spec, uint32_t object,
                              const uint32_t* state) const {
  uint32_t least = members_rest(spec, state);
  const uint32_t comma = program_.forms[spec.form].comma_len;
  if (least) return least - comma;
  least = kInfinite;
  for (uint32_t i = 0; i < spec.properties.size(); ++i)
    if (may_use(spec, state, i)) {
      const uint32_t key = spec.properties[i].key_len + program_.forms[spec.form].colon_len;
      least = std::min(least, add_length(key, after_key(spec, state, i)));
    }
  if (may_use_other(spec, object, state)) {
    const bool short_taken = arena_.used_terminal(state[kUsedNames]);
    const uint32_t n_used = arena_.used_size(state[kUsedNames]);
    const uint32_t n_taken = Program::keys_taken(spec, n_used, short_taken);
    if (spec.demands.empty()) least = std::min(least, program_.other_cost(spec, n_taken));
    // Where one more member unsettles a demand, more must follow.
    for (uint32_t c = 0; c < spec.others.size() && !spec.demands.empty(); ++c) {
      const uint32_t key = add_length(spec.others[c].cost,
                                      program_.key_growth(spec, spec.others[c], n_taken));
      least = std::min(least, add_length(key, after_other_key(spec, state, c, n_taken == 0)));
    }
  }
  return least;
}

// Bytes after the lexeme on `id` has ended with `tag`.
uint32_t Machine::tag_cost(CellId id, uint32_t tag) const {
  const Cell& cell = arena_.cells[id];
  const uint32_t below = arena_.cell_facts[cell.parent].done;
  if (tag == kTagClose) return below;
  if (cell.kind == FrameKind::kObject && cell.phase != Phase::kValue) {
    const ObjectSpec& spec = program_.objects[cell.node];
    const Form& form = program_.forms[spec.form];
    const uint32_t member = member_cost(spec, cell.node, arena_.objects.begin(cell.state));
    const uint32_t rest = add_length(member, add_length(form.object_close_len, below));
    if (rest >= kInfinite) return kInfinite;
    return tag == kTagQuote ? rest - 1 : rest + pool_.facts(form.next_key).min_len - 1;
  }
  if (cell.kind == FrameKind::kArray && cell.phase == Phase::kAfter) {  // a comma
    const ArraySpec& spec = program_.arrays[cell.node];
    const Form& form = program_.forms[spec.form];
    const uint32_t value = program_.value_of_item(spec, cell.a);
    if (value == kNone) return kInfinite;
    const uint32_t least = cell.a < spec.costs.size() ? spec.costs[cell.a]
                                                      : program_.values[value].min_len;
    const uint32_t item = add_length(pool_.facts(form.before[kPlaceComma]).min_len, least);
    return add_length(item, add_length(program_.items_rest(spec, cell.a + 1),
                                       add_length(form.array_close_len, below)));
  }
  if (cell.kind == FrameKind::kTallied && cell.phase == Phase::kAfter)  // a comma
    return add_length(tallied_item_cost(cell), below);
  const uint32_t done = arena_.cell_facts[id].done;
  if (tag == kTagScalar) return done;
  uint32_t value = cell.kind == FrameKind::kValue ? cell.node : cell.a;
  if (cell.kind == FrameKind::kArray)
    value = program_.value_of_item(program_.arrays[cell.node], cell.a - 1);
  uint32_t least = kInfinite;
  const Value& v = program_.values[value];
  if (tag == kTagObject)
    for (const uint32_t o : v.objects) least = std::min(least, program_.objects[o].min_len - 1);
  else
    for (const uint32_t a : v.arrays) least = std::min(least, program_.arrays[a].min_len - 1);
  return add_length(least, done);
}

uint32_t Machine::potential(const Thread& thread) {
  if (thread.lexeme == kFinished) return 0;
  const uint64_t id = uint64_t{thread.lexeme} << 32 | thread.cell;
  const auto known = arena_.potentials.find(id);
  if (known != arena_.potentials.end()) return known->second;
  uint32_t least = kInfinite;
  if (is_tracked(thread.lexeme)) {
    least = tracked_potential(thread);
  } else if (thread.lexeme & kKeyBit) {
    least = key_potential(arena_.keys[thread.lexeme & ~kKeyBit], arena_.cells[thread.cell]);
  } else {
    const uint32_t n_tags = pool_.facts(thread.lexeme).tagged ? kTagQuote + 1 : 1;
    for (uint32_t tag = 0; tag < n_tags; ++tag) {
      const uint32_t length = pool_.min_length(thread.lexeme, tag);
      if (length < kInfinite)
        least = std::min(least, add_length(length, tag_cost(thread.cell, tag)));
    }
  }
  return arena_.potentials[id] = least;
}

uint32_t Machine::potential(const Threads& threads) {
  uint32_t least = kInfinite;
  for (const Thread& t : threads) least = std::min(least, potential(t));
  return least;
}

// Bytes after which a thread probably needs fewer bytes than `left`, found without taking them:
// those of a lexeme that bring one of its ends nearer, and those of declared names.
ByteSet Machine::likely_bytes(const Thread& thread, uint32_t left) {
  ByteSet set;
  if (thread.lexeme == kFinished || is_tracked(thread.lexeme)) return set;
  if (thread.lexeme & kKeyBit) {
    const Key key = arena_.keys[thread.lexeme & ~kKeyBit];
    if (key.name == kNone || key.escape != kNoEscape) return set;
    const NameTree& names = program_.objects[key.object].names;
    const NameTree::Node& node = names.nodes[key.name];
    for (uint32_t c = 0; c < node.n_children; ++c) set.add(names.nodes[node.first_child + c].byte);
    if (node.terminal) set.add('"');
    return set;
  }
  const uint32_t n_tags = pool_.facts(thread.lexeme).tagged ? kTagQuote + 1 : 1;
  for (uint32_t tag = 0; tag < n_tags; ++tag) {
    const uint32_t length = pool_.min_length(thread.lexeme, tag);
    if (length == kInfinite || add_length(length, tag_cost(thread.cell, tag)) > left) continue;
    const ByteSet bytes = pool_.first_bytes(thread.lexeme);
    for (unsigned b = 0; b < 256; ++b) {
      const auto byte = static_cast<uint8_t>(b);
      if (bytes.has(byte) && pool_.min_length(pool_.next(thread.lexeme, byte), tag) < length)
        set.add(byte);
    }
  }
  return set;
}

ByteSet Machine::key_first_bytes(const Key& key, CellId id) {
  ByteSet set;
  const Cell cell = arena_.cells[id];
  const ObjectSpec& spec = program_.objects[cell.node];
  ByteSet candidates = pool_.alphabet();
  if (key.other != ExprPool::kEmptyExpr && !spec.may_run_out) {
    set = pool_.first_bytes(key.other);
    set.w[0] &= ~(uint64_t{1} << '"');  // unless the name is taken, see below
    candidates = candidates & ~set;
  }
  for (unsigned b = 0x20; b < 256; ++b) {
    const auto byte = static_cast<uint8_t>(b);
    if (!candidates.has(byte)) continue;
    Key after = key;
    if (byte == '"' && key.escape == kNoEscape) {
      Threads threads;
      close_key(key, id, threads);
      if (!threads.empty()) set.add(byte);
    } else if (step_key(after, cell, byte)) {
      set.add(byte);
    }
  }
  return set;
}

ByteSet Machine::first_bytes(const Thread& thread) {
  if (thread.lexeme == kFinished) return {};
  if (any_live(thread)) {
    ByteSet set;
    const ByteSet bytes = first_bytes(untracked(thread));
    for (unsigned b = 0; b < 256; ++b) {
      if (!bytes.has(static_cast<uint8_t>(b))) continue;
      Threads out;
      step(thread, static_cast<uint8_t>(b), out);
      if (!out.empty()) set.add(static_cast<uint8_t>(b));
    }
    return set;
  }
  if (is_tracked(thread.lexeme)) return first_bytes(untracked(thread));
  if (!(thread.lexeme & kKeyBit)) return pool_.first_bytes(thread.lexeme);
  return key_first_bytes(arena_.keys[thread.lexeme & ~kKeyBit], thread.cell);
}

}  // namespace constrain
