// Shortest completions where items of unique arrays must be new.
#include <queue>

#include "machine.h"

namespace constrain {

namespace {

uint64_t key_of(const Thread& t) { return uint64_t{t.lexeme} << 32 | t.cell; }

}  // namespace

// Is there a way that takes no more bytes than if items may repeat? Mostly there is, and a walk
// that only takes bytes leading nearer to the end finds it after a few. What is found holds for
// the whole way.
bool Machine::descends(const Thread& start, uint32_t bound) {
  struct At {
    Thread thread;
    uint32_t next_byte;
    ByteSet bytes;
  };
  constexpr uint32_t kMostSteps = 1024;
  std::vector<At> path{{start, 0, first_bytes(untracked(start))}};
  Threads out;
  for (uint32_t n_steps = 0; !path.empty() && n_steps < kMostSteps;) {
    At& at = path.back();
    while (at.next_byte < 256 && !at.bytes.has(static_cast<uint8_t>(at.next_byte))) ++at.next_byte;
    if (at.next_byte == 256 || spells_alike(at.thread)) {
      path.pop_back();
      continue;
    }
    const auto byte = static_cast<uint8_t>(at.next_byte++);
    const uint32_t left = bound - static_cast<uint32_t>(path.size());
    out.clear();
    step(at.thread, byte, out);
    ++n_steps;
    const Thread* nearer = nullptr;
    for (const Thread& t : out) {
      if (potential(untracked(t)) != left) continue;
      const auto known = arena_.potentials.find(key_of(t));
      const bool is_known = known != arena_.potentials.end();
      if (!any_live(t) || (is_known && known->second == left)) {
        for (size_t i = 0; i < path.size(); ++i)
          arena_.potentials.emplace(key_of(path[i].thread), bound - static_cast<uint32_t>(i));
        return true;
      }
      if (!is_known) nearer = &t;
    }
    if (nearer) path.push_back({*nearer, 0, first_bytes(untracked(*nearer))});
  }
  return false;
}

// Best first, by what the text needs if items may repeat. What is found holds for the whole way:
// so along a shortest completion the need falls by one with each byte.
uint32_t Machine::tracked_potential(const Thread& start) {
  if (!any_live(start)) return potential(untracked(start));
  const uint32_t bound = potential(untracked(start));
  if (bound == kInfinite || descends(start, bound)) return bound;
  struct Node {
    Thread thread;
    uint32_t length, from;
  };
  struct Entry {
    uint32_t total, node;
    bool is_end;
    bool operator<(const Entry& o) const {
      return total != o.total ? total > o.total : is_end < o.is_end;
    }
  };
  std::vector<Node> nodes{{start, 0, kNone}};
  std::unordered_map<uint64_t, uint32_t> best{{key_of(start), 0}};
  std::priority_queue<Entry> queue;
  queue.push({bound, 0, false});
  Threads out;
  while (!queue.empty()) {
    const Entry entry = queue.top();
    queue.pop();
    const Node at = nodes[entry.node];
    if (entry.is_end) {
      for (uint32_t n = entry.node; n != 0; n = nodes[n].from)
        arena_.potentials.emplace(key_of(nodes[n].thread), entry.total - nodes[n].length);
      return entry.total;
    }
    if (spells_alike(at.thread)) continue;
    const ByteSet bytes = first_bytes(untracked(at.thread));
    for (unsigned b = 0; b < 256; ++b) {
      if (!bytes.has(static_cast<uint8_t>(b))) continue;
      out.clear();
      step(at.thread, static_cast<uint8_t>(b), out);
      for (const Thread& t : out) {
        const uint32_t length = at.length + 1;
        const auto [known, is_new] = best.emplace(key_of(t), length);
        if (!is_new && known->second <= length) continue;
        known->second = length;
        const bool is_end = !any_live(t) || arena_.potentials.contains(key_of(t));
        const uint32_t rest = potential(is_end ? t : untracked(t));
        if (rest == kInfinite) continue;
        nodes.push_back({t, length, entry.node});
        queue.push({length + rest, static_cast<uint32_t>(nodes.size() - 1), is_end});
      }
    }
    if (nodes.size() > limits_.search_states)
      throw LimitExceeded("search_states", static_cast<double>(nodes.size()),
                          static_cast<double>(limits_.search_states));
  }
  return kInfinite;
}

}  // namespace constrain
