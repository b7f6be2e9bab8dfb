// Keeping memory bounded: a new arena from what the live matchers hold.
#include "compiled.h"

namespace constrain {

namespace {

// Copies configurations and all they refer to from one arena to another.
class Mover {
 public:
  Mover(const Arena& from, Arena& to) : from_(from), to_(to) {}

  ConfigId config(ConfigId id) {
    const auto known = configs_.find(id);
    if (known != configs_.end()) return known->second;
    Threads threads(from_.begin(id), from_.end(id));
    for (Thread& t : threads) {
      t.cell = cell(t.cell);
      t.lexeme = lexeme(t.lexeme);
    }
    return configs_[id] = to_.config(threads);
  }

 private:
  uint32_t lexeme(uint32_t id) {
    if (is_tracked(id)) {
      const Tracked tracked = from_.tracked[id & ~kTrackBit];
      return kTrackBit | to_.tracked.intern({lexeme(tracked.lexeme), level(tracked.level)});
    }
    return id != kFinished && id & kKeyBit ? kKeyBit | key(id & ~kKeyBit) : id;
  }

  uint32_t level(uint32_t id) {
    std::vector<uint32_t> chain;
    for (; id; id = from_.levels[id].outer) chain.push_back(id);
    uint32_t outer = 0;
    for (size_t i = chain.size(); i-- > 0;) {
      Level level = from_.levels[chain[i]];
      level.reading = from_.items.move_reading(level.reading, to_.items, values_);
      level.live = from_.items.move_set(level.live, to_.items, values_);
      level.cell = cell(level.cell);
      level.outer = outer;
      outer = to_.levels.intern(level);
    }
    return outer;
  }

  CellId cell(CellId id) {
    std::vector<CellId> chain;  // from the given cell down to one that is moved already
    CellId at = id;
    for (; at != 0 && !cells_.contains(at); at = from_.cells[at].parent) chain.push_back(at);
    CellId moved = at == 0 ? 0 : cells_[at];
    for (size_t i = chain.size(); i-- > 0;) {
      Cell c = from_.cells[chain[i]];
      c.parent = moved;
      if (c.kind == FrameKind::kObject) c.state = object(c.state);
      if (c.kind == FrameKind::kTallied) c.state = tallies(c.state);
      if (c.kind == FrameKind::kArray) c.state = from_.items.move_set(c.state, to_.items, values_);
      moved = cells_[chain[i]] = to_.cell(c, from_.cell_facts[chain[i]]);
    }
    return moved;
  }

  uint32_t object(uint32_t id) {
    std::vector<uint32_t> words(from_.objects.begin(id), from_.objects.end(id));
    const uint32_t used = words[kUsedNames];
    words[kUsedNames] = names(used);
    if (const uint32_t n = from_.used_size(used)) to_.used_sizes[words[kUsedNames]] = n;
    return to_.objects.intern(words.data(), words.size());
  }

  uint32_t tallies(uint32_t id) {
    const std::vector<uint32_t> words(from_.objects.begin(id), from_.objects.end(id));
    return to_.objects.intern(words.data(), words.size());
  }

  uint32_t key(uint32_t id) {
    Key k = from_.keys[id];
    if (k.used != kNone) k.used = names(k.used);
    std::string text = from_.prefix_text(k.prefix);
    k.prefix = 0;
    for (const char c : text)
      k.prefix = to_.prefixes.intern({k.prefix, static_cast<uint8_t>(c)});
    return to_.keys.intern(k);
  }

  // Trees of used names, children first, without recursion.
  uint32_t names(uint32_t root) {
    std::vector<uint32_t> pending{root};
    while (!pending.empty()) {
      const uint32_t at = pending.back();
      const uint32_t *begin = from_.used.begin(at) + 1, *end = from_.used.end(at);
      bool ready = true;
      for (const uint32_t* p = begin; p != end; p += 2)
        if (!names_.contains(p[1])) {
          pending.push_back(p[1]);
          ready = false;
        }
      if (!ready) continue;
      pending.pop_back();
      std::vector<uint32_t> words(begin - 1, end);
      for (size_t i = 2; i < words.size(); i += 2) words[i] = names_[words[i]];
      names_[at] = to_.used.intern(words.data(), words.size());
    }
    return names_[root];
  }

  const Arena& from_;
  Arena& to_;
  std::unordered_map<uint32_t, uint32_t> configs_, cells_, names_;
  std::vector<uint32_t> values_;
};

}  // namespace

void Compiled::compact() {
  auto fresh = std::make_unique<Arena>();
  Mover mover(*arena_, *fresh);
  for (Matcher* matcher : matchers)
    matcher->remap([&](ConfigId id) { return mover.config(id); });
  arena_ = std::move(fresh);
  machine_ = std::make_unique<Machine>(program, *arena_, limits);
  masker_ = std::make_unique<Masker>(*machine_, engine->tables);
}

void Compiled::relieve() {
  engine->enter(*this);
  if (arena_->memory() > limits.arena_bytes) {
    compact();
    // What is live must fit by itself; the rest was only memory of the past.
    if (arena_->memory() > limits.arena_bytes)
      throw LimitExceeded("arena_bytes", static_cast<double>(arena_->memory()),
                          static_cast<double>(limits.arena_bytes));
  }
  if (engine->tables.memory() > engine->table_limit) engine->tables.clear();
}

}  // namespace constrain
