// Items of unique arrays: which values an item may not become, and whether it can be another.
//
// While an item of a unique array is read, its threads are tracked: they carry a level, the
// reading so far (json_values.h) and the forbidden values it may still become. A byte moves
// level and lexeme on together; when the item ends, its value joins the set in the array's cell,
// or the thread is dropped. A thread whose item may become a forbidden value lives only if it can
// still become another: a search over bytes that ends at the first one that leaves all forbidden
// values behind, which mostly is the first byte.
#include <deque>
#include <unordered_set>

#include "machine.h"

namespace constrain {

namespace {

uint64_t key_of(const Thread& t) { return uint64_t{t.lexeme} << 32 | t.cell; }

}  // namespace

Thread Machine::untracked(const Thread& thread) const {
  if (!is_tracked(thread.lexeme)) return thread;
  return {arena_.tracked[thread.lexeme & ~kTrackBit].lexeme, thread.cell};
}

bool Machine::any_live(const Thread& thread) const {
  return is_tracked(thread.lexeme) &&
         arena_.levels[arena_.tracked[thread.lexeme & ~kTrackBit].level].any_live;
}

bool Machine::has_read(const Thread& thread) const {
  uint32_t id = arena_.tracked[thread.lexeme & ~kTrackBit].level;
  for (; id; id = arena_.levels[id].outer) {
    const Level& level = arena_.levels[id];
    if (level.live && (level.reading.mode != Reading::kBetween || level.reading.frame))
      return true;
  }
  return false;
}

uint32_t Machine::make_level(Level level) {
  level.any_live = level.live || (level.outer && arena_.levels[level.outer].any_live);
  return arena_.levels.intern(level);
}

// The levels of a thread after one more byte of all of them.
uint32_t Machine::advance(uint32_t id, uint8_t byte) {
  InlineVector<uint32_t, 8> chain;
  for (; id; id = arena_.levels[id].outer) chain.push_back(id);
  uint32_t outer = 0;
  for (uint32_t i = chain.size(); i-- > 0;) {
    Level level = arena_.levels[chain[i]];
    arena_.items.read(level.reading, byte);
    if (level.live) {
      std::vector<ItemId> kept;
      const uint32_t *v = arena_.items.begin(level.live), *end = arena_.items.end(level.live);
      for (; v != end; ++v)
        if (arena_.items.may_become(level.reading, *v)) kept.push_back(*v);
      if (kept.size() < arena_.items.count(level.live))
        level.live = arena_.items.make_set(std::move(kept));
    }
    level.outer = outer;
    outer = make_level(level);
  }
  return outer;
}

void Machine::step_tracked(const Thread& thread, uint8_t byte, Threads& out) {
  const Tracked tracked = arena_.tracked[thread.lexeme & ~kTrackBit];
  if (tracked.lexeme == kFinished) return;
  if (tracked.lexeme & kKeyBit) {
    Threads plain;
    step_unchecked({tracked.lexeme, thread.cell}, byte, plain);
    if (plain.empty()) return;
    const uint32_t level = advance(tracked.level, byte);
    for (const Thread& t : plain)
      out.push_back({kTrackBit | arena_.tracked.intern({t.lexeme, level}), t.cell});
    return;
  }
  const ExprId next = pool_.next(tracked.lexeme, byte);
  if (next == ExprPool::kEmptyExpr) return;
  Closure work = closure(out);
  work.level = advance(tracked.level, byte);
  if (pool_.tags(next)) {
    work.push(Task::kAdd, next, thread.cell);
    run(work);
  } else {
    emit(next, thread.cell, work);
  }
}

void Machine::drop_dead(Threads& out, uint32_t first) {
  uint32_t n = first;
  for (uint32_t i = first; i < out.size(); ++i)
    if (!any_live(out[i]) || has_fresh(out[i])) out[n++] = out[i];
  out.truncate(out.begin() + n);
}

// An item begins on the cell.
void Machine::open_item(CellId id, Closure& work) {
  const Cell cell = arena_.cells[id];
  const ArraySpec& spec = program_.arrays[cell.node];
  if (!spec.unique || is_forgotten(cell.state)) return;
  Level level;
  level.live = forbidden(cell);
  // The last item needs to be known only if it may repeat another.
  if (!level.live && program_.value_of_item(spec, cell.a) == kNone) return;
  level.cell = id;
  level.outer = work.level;
  work.level = make_level(level);
}

// The item that stands on the cell has ended; false: it must not be what it is.
bool Machine::end_item(Cell& cell, CellId id, Closure& work) {
  if (is_forgotten(cell.state)) return true;
  if (!work.level || arena_.levels[work.level].cell != id) return true;
  const Level level = arena_.levels[work.level];
  const ItemId value = arena_.items.value_of(level.reading);
  if (level.live) {
    ended_live_ = true;
    if (arena_.items.contains(level.live, value)) return false;
  }
  const bool last = program_.value_of_item(program_.arrays[cell.node], cell.a) == kNone;
  cell.state = last ? JsonValues::kNoItems : arena_.items.insert(cell.state, value);
  work.level = level.outer;
  return true;
}

// Can another item follow those of the cell, where its position has a value at all?
bool Machine::has_more(const Cell& cell) {
  if (is_forgotten(cell.state)) return true;
  const ArraySpec& spec = program_.arrays[cell.node];
  const uint32_t value = program_.value_of_item(spec, cell.a);
  if (program_.has_plenty(value) && arena_.items.count(cell.state) < kPlenty / 2) return true;
  Cell next = cell;
  next.phase = Phase::kValue;
  if (cell.a <= spec.saturation) ++next.a;
  Level level;
  level.live = forbidden(next);
  if (!level.live) return true;
  level.cell = make_cell(next);
  const uint32_t lexeme = program_.start(value, kPlaceComma);
  return has_fresh({kTrackBit | arena_.tracked.intern({lexeme, make_level(level)}), level.cell});
}

// What the item must not be: an earlier item, or the last value that a later one can have.
ItemSet Machine::forbidden(const Cell& cell) {
  const ArraySpec& spec = program_.arrays[cell.node];
  ItemSet set = cell.state;
  if (spec.few.empty() || cell.a >= spec.min_items) return set;
  const auto& few = few_values(cell.node);
  for (uint32_t i = cell.a; i < spec.min_items; ++i)
    for (const ItemId value : few[i]) {
      if (arena_.items.contains(set, value)) continue;
      const ItemSet used = arena_.items.insert(cell.state, value);
      if (!can_choose(spec, cell.node, cell.a, used)) set = arena_.items.insert(set, value);
    }
  return set;
}

const std::vector<std::vector<ItemId>>& Machine::few_values(uint32_t array) {
  auto [entry, is_new] = few_values_.try_emplace(array);
  if (is_new)
    for (const auto& texts : program_.arrays[array].few) {
      entry->second.emplace_back();
      for (const std::string& text : texts)
        entry->second.back().push_back(arena_.items.read_all(text));
    }
  return entry->second;
}

// Can the items from `first` on that have few values get different ones, none of them used?
// A matching of positions with values, grown along augmenting paths (Kuhn 1955).
bool Machine::can_choose(const ArraySpec& spec, uint32_t array, uint32_t first, ItemSet used) {
  const auto& few = few_values(array);
  std::unordered_map<ItemId, uint32_t> taken_by;
  for (uint32_t start = first; start < spec.min_items; ++start) {
    if (few[start].empty()) continue;
    std::vector<uint32_t> queue{start};
    std::unordered_map<ItemId, uint32_t> reached_from;
    ItemId free = kNone;
    for (size_t i = 0; i < queue.size() && free == kNone; ++i)
      for (const ItemId value : few[queue[i]]) {
        if (arena_.items.contains(used, value)) continue;
        if (!reached_from.emplace(value, queue[i]).second) continue;
        const auto owner = taken_by.find(value);
        if (owner == taken_by.end()) {
          free = value;
          break;
        }
        queue.push_back(owner->second);
      }
    if (free == kNone) return false;
    for (ItemId value = free;;) {  // each position on the path gives its value to the one before
      const uint32_t position = reached_from[value];
      ItemId given_up = kNone;
      for (const auto& [of, owner] : taken_by)
        if (owner == position) given_up = of;
      taken_by[value] = position;
      if (position == start) break;
      value = given_up;
    }
  }
  return true;
}

// After the byte, is every forbidden value left behind? Not if it is in this set.
ByteSet Machine::bytes_towards_used(const Thread& thread) const {
  ByteSet set;
  uint32_t id = arena_.tracked[thread.lexeme & ~kTrackBit].level;
  for (; id; id = arena_.levels[id].outer) {
    const Level& level = arena_.levels[id];
    const uint32_t *v = arena_.items.begin(level.live), *end = arena_.items.end(level.live);
    for (; v != end; ++v) set = set | arena_.items.bytes_towards(level.reading, *v);
  }
  return set;
}

// The number may end here and cannot become another: zeros at the end of a fraction, or an
// exponent of zero.
bool Machine::spells_alike(const Thread& thread) {
  const Tracked tracked = arena_.tracked[thread.lexeme & ~kTrackBit];
  const Reading& reading = arena_.levels[tracked.level].reading;
  if (reading.mode != Reading::kBare || !pool_.tags(tracked.lexeme)) return false;
  ByteSet zero;
  zero.add('0');
  return arena_.items.is_zero_with_exponent(reading) ||
         (pool_.first_bytes(tracked.lexeme) == zero &&
          pool_.next(tracked.lexeme, '0') == tracked.lexeme);
}

bool Machine::has_fresh(const Thread& start) {
  const auto known = arena_.fresh.find(key_of(start));
  if (known != arena_.fresh.end()) return known->second;
  constexpr uint32_t kMostNested = 100;
  if (searches_ >= kMostNested)
    throw LimitExceeded("search_states", searches_ + 1, kMostNested);
  std::vector<Task> pending_tasks, done_tasks;  // a closure may be waiting for the answer
  pending_tasks.swap(pending_);
  done_tasks.swap(done_);
  const bool ended_live = ended_live_;
  ++searches_;
  const bool found = search_fresh(start);
  --searches_;
  ended_live_ = ended_live;
  pending_tasks.swap(pending_);
  done_tasks.swap(done_);
  return found;
}

bool Machine::search_fresh(const Thread& start) {
  std::deque<Thread> pending{start};  // breadth first: spellings of one value may never end
  std::unordered_set<uint64_t> seen{key_of(start)};
  Threads out;
  while (!pending.empty()) {
    const Thread at = pending.front();
    pending.pop_front();
    const ByteSet bytes = first_bytes(untracked(at));
    bool found = !bytes.subset_of(bytes_towards_used(at));
    if (!found && spells_alike(at)) continue;
    for (unsigned b = 0; b < 256 && !found; ++b) {
      if (!bytes.has(static_cast<uint8_t>(b))) continue;
      out.clear();
      step_unchecked(at, static_cast<uint8_t>(b), out);
      for (const Thread& t : out) {
        found |= !any_live(t);
        if (seen.insert(key_of(t)).second) pending.push_back(t);
      }
    }
    if (found) return arena_.fresh[key_of(start)] = true;
    if (seen.size() > limits_.search_states)
      throw LimitExceeded("search_states", static_cast<double>(seen.size()),
                          static_cast<double>(limits_.search_states));
  }
  for (const uint64_t key : seen) arena_.fresh.emplace(key, false);
  return false;
}

}  // namespace constrain
