// Names that what is still needed does not depend on.
//
// An object remembers the other keys that it has, since none may come twice. But its shortest
// completion has no other key where the members that it still needs are declared ones. Without
// the names, states after different keys are one state, and what was found for one of them holds
// for all (finishing.cpp). Where further other keys are needed, it holds for all but the names
// that the completion itself has (within_names.cpp).
#include <bit>

#include "machine.h"

namespace constrain {

// Are all members that the object still needs declared ones? `n_more`: members that are there
// once the present one is.
bool Machine::needs_no_other_key(const Cell& cell, uint32_t n_more) const {
  if (cell.kind != FrameKind::kObject) return false;
  const ObjectSpec& spec = program_.objects[cell.node];
  if (!spec.demands.empty()) return false;
  const uint32_t* state = arena_.objects.begin(cell.state);
  return state[kCount] + state[kMissing] + n_more >= spec.min_properties;
}

// Of a cell whose value is being read.
CellId Machine::without_names_below(CellId id) {
  std::vector<CellId> path;
  auto& known = arena_.nameless;
  while (id != 0 && !known.contains(id)) {
    path.push_back(id);
    id = arena_.cells[id].parent;
  }
  CellId below = id == 0 ? 0 : known.at(id);
  for (size_t i = path.size(); i-- > 0;) {
    Cell cell = arena_.cells[path[i]];
    cell.parent = below;
    if (cell.phase == Phase::kValue && needs_no_other_key(cell, 0)) cell.state = nameless(cell);
    known[path[i]] = below = make_cell(cell);
  }
  return below;
}

// Is a key being read that is unlike every declared and used one?
bool Machine::is_in_new_key(const Thread& thread) const {
  if (thread.lexeme == kFinished || !(thread.lexeme & kKeyBit)) return false;
  const Key key = arena_.keys[thread.lexeme & ~kKeyBit];
  return key.name == kNone && key.used == kNone && key.prefix != 0;
}

Thread Machine::with_name(const Thread& thread, uint32_t n_bytes) {
  Key key = arena_.keys[thread.lexeme & ~kKeyBit];
  key.prefix = 0;
  for (uint32_t i = 0; i < n_bytes; ++i) key.prefix = arena_.prefixes.intern({key.prefix, 'x'});
  return {kKeyBit | arena_.keys.intern(key), thread.cell};
}

// Any text will do for a new key, unless the object needs further other keys after it and it
// `matters` then.
Thread Machine::with_any_name(const Thread& thread, bool matters) {
  if (!is_in_new_key(thread)) return thread;
  const bool is_free = !matters || needs_no_other_key(arena_.cells[thread.cell], 1);
  return is_free ? with_name(thread, 1) : thread;
}

// Another text for a new key after which others are needed: unlike all within so many bytes.
Thread Machine::with_unlike_name(const Thread& thread, uint32_t n_bytes) {
  const bool matters =
      is_in_new_key(thread) && !needs_no_other_key(arena_.cells[thread.cell], 1);
  return matters ? with_name(thread, std::bit_ceil(n_bytes + 1)) : thread;
}

// The key with further names that it must be unlike: those of `names` that it can become.
Thread Machine::with_used(const Thread& thread, const std::vector<std::string>& names) {
  Key key = arena_.keys[thread.lexeme & ~kKeyBit];
  const std::string text = arena_.prefix_text(key.prefix);
  uint32_t root = 0;
  for (const std::string& name : names)
    if (name.starts_with(text)) root = arena_.used_insert(root, name.substr(text.size()));
  key.used = root ? root : kNone;
  return {kKeyBit | arena_.keys.intern(key), thread.cell};
}

Thread Machine::without_names(const Thread& thread) {
  if (thread.lexeme == kFinished || is_tracked(thread.lexeme) || thread.cell == 0) return thread;
  Thread result = thread;
  Cell cell = arena_.cells[thread.cell];
  cell.parent = without_names_below(cell.parent);
  if (needs_no_other_key(cell, 0)) {
    // A member that is still needed is nearer than one more.
    const bool is_led = arena_.objects.begin(cell.state)[kMissing] > 0;
    bool forgets = is_led || cell.phase == Phase::kValue;
    if (thread.lexeme & kKeyBit) {
      Key key = arena_.keys[thread.lexeme & ~kKeyBit];
      if (is_led && key.name == 0 && key.escape == kNoEscape) key.used = kNone;  // not begun
      forgets = key.used == kNone;
      result.lexeme = kKeyBit | arena_.keys.intern(key);
    }
    if (forgets) cell.state = nameless(cell);
  }
  result.cell = make_cell(cell);
  return result;
}

uint32_t Machine::nameless(const Cell& cell) {
  const uint32_t* state = arena_.objects.begin(cell.state);
  if (!state[kUsedNames]) return cell.state;
  std::vector<uint32_t> words(state, arena_.objects.end(cell.state));
  words[kUsedNames] = 0;
  return arena_.objects.intern(words.data(), words.size());
}

}  // namespace constrain
