// What finishing needs where later items of unique arrays must be unlike the one that is read.
//
// The shortest completion depends on that item's value only if it is a value that the completion
// itself would choose. So it is found once, for an item that is longer than the whole completion
// and so unlike all of it; it holds for every item that cannot become one of the chosen values.
// (An item that is forbidden one value more has no shorter completion, and the same one if it
// does not need that value.)
#include "compiled.h"

namespace constrain {

// Another text in the place of what was read of every item: longer than `n_bytes`. False: some
// item has not begun, or stands between its members.
bool Machine::make_unlike(Threads& threads, uint32_t n_bytes) {
  for (Thread& t : threads) {
    if (!is_tracked(t.lexeme)) return false;
    Tracked tracked = arena_.tracked[t.lexeme & ~kTrackBit];
    std::vector<uint32_t> chain;
    for (uint32_t id = tracked.level; id; id = arena_.levels[id].outer) chain.push_back(id);
    tracked.level = 0;
    for (size_t i = chain.size(); i-- > 0;) {
      Level level = arena_.levels[chain[i]];
      Reading& reading = level.reading;
      const bool is_bare = reading.mode == Reading::kBare;
      if (!is_bare && reading.mode != Reading::kString) return false;
      const std::string text = arena_.prefix_text(reading.text);
      const bool is_digits = text.find_first_not_of("-.0123456789") == std::string::npos;
      if (is_bare && (text.empty() || !is_digits)) return false;
      // A digit other than 0 ends no number: so long a number has no shorter spelling.
      for (; reading.length <= n_bytes + text.size(); ++reading.length)
        reading.text = arena_.prefixes.intern({reading.text, '7'});
      level.live = JsonValues::kNoItems;
      level.outer = tracked.level;
      tracked.level = make_level(level);
    }
    t.lexeme = kTrackBit | arena_.tracked.intern(tracked);
  }
  return true;
}

void Machine::collect_items(const Threads& threads, std::vector<ItemId>& items) const {
  for (const Thread& t : threads)
    for (CellId at = t.lexeme == kFinished ? 0 : t.cell; at; at = arena_.cells[at].parent) {
      const Cell& cell = arena_.cells[at];
      if (cell.kind != FrameKind::kArray || !program_.arrays[cell.node].unique) continue;
      if (is_forgotten(cell.state)) continue;
      items.insert(items.end(), arena_.items.begin(cell.state), arena_.items.end(cell.state));
    }
}

// The thread with more values that none of its items may become.
Thread Machine::with_forbidden(const Thread& thread, const std::vector<ItemId>& items) {
  Tracked tracked = arena_.tracked[thread.lexeme & ~kTrackBit];
  std::vector<uint32_t> chain;
  for (uint32_t id = tracked.level; id; id = arena_.levels[id].outer) chain.push_back(id);
  tracked.level = 0;
  for (size_t i = chain.size(); i-- > 0;) {
    Level level = arena_.levels[chain[i]];
    std::vector<ItemId> live = items;
    live.insert(live.end(), arena_.items.begin(level.live), arena_.items.end(level.live));
    std::erase_if(live, [&](ItemId v) { return !arena_.items.may_become(level.reading, v); });
    std::sort(live.begin(), live.end());
    live.erase(std::unique(live.begin(), live.end()), live.end());
    level.live = arena_.items.make_set(std::move(live));
    level.outer = tracked.level;
    tracked.level = make_level(level);
  }
  return {kTrackBit | arena_.tracked.intern(tracked), thread.cell};
}

// The configuration after a token of the group, its items made unlike all others; kNone: they
// have not begun before its last byte.
ConfigId Compiled::unlike_after(const Budget& work, uint32_t token, uint32_t n_bytes) {
  Threads at = work.at, next;
  bool is_unlike = false;
  for (const char c : engine->tables.token(token)) {
    if (!is_unlike) {
      Threads made = at;
      is_unlike = machine_->make_unlike(made, n_bytes);
      if (is_unlike) at.swap(made);
    }
    next.clear();
    machine_->step(at, static_cast<uint8_t>(c), next);
    at.swap(next);
  }
  return is_unlike && !at.empty() ? arena_->config(at) : kNone;
}

void Compiled::settle_unlike(Budget& work, std::vector<uint64_t>& group) {
  uint32_t longest = kNone;
  size_t length = 0;
  for (uint32_t w = 0; w < group.size(); ++w)
    for (uint64_t word = group[w]; word; word &= word - 1) {
      const uint32_t token = w * 64 + static_cast<uint32_t>(__builtin_ctzll(word));
      if (engine->tables.token(token).size() <= length) continue;
      longest = token;
      length = engine->tables.token(token).size();
    }
  Threads after;
  if (!step_token(work.at, longest, after)) return;
  const ConfigId start = unlike_after(work, longest, machine_->potential(after));
  if (start == kNone || potential(start) != machine_->potential(after)) return;
  const bool is_fit = fewest_tokens(start) <= work.n_tokens;
  std::vector<ItemId> items;
  for (ConfigId at = start;; at = onward(at).config) {
    machine_->collect_items(threads(at), items);
    if (potential(at) == 0) break;
  }
  std::vector<uint64_t> alike(group.size());
  for (const Thread& t : work.at)
    if (is_tracked(t.lexeme))
      masker_->mark_special(machine_->with_forbidden(t, items), alike.data());
  for (uint32_t w = 0; w < group.size(); ++w) {
    group[w] &= ~alike[w];
    work.open[w] &= ~group[w];
    if (is_fit) work.mask[w] |= group[w];
  }
}

}  // namespace constrain
