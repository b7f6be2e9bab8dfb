#include "arena.h"

namespace constrain {

Arena::Arena() {
  cell(Cell{}, CellFacts{});
  prefixes.intern(Prefix{});
  levels.intern(Level{});
  const uint32_t no_names = 0;
  used.intern(&no_names, 1);
}

CellId Arena::cell(const Cell& c, const CellFacts& facts) {
  const uint32_t before = cells.size();
  const CellId id = cells.intern(c);
  if (id == before) cell_facts.push_back(facts);
  return id;
}

ConfigId Arena::config(Threads& threads) {
  std::sort(threads.begin(), threads.end());
  threads.truncate(std::unique(threads.begin(), threads.end()));
  static_assert(sizeof(Thread) == 2 * sizeof(uint32_t));
  return configs.intern(reinterpret_cast<const uint32_t*>(threads.data()), threads.size() * 2);
}

uint32_t Arena::used_child(uint32_t node, uint8_t byte) const {
  if (node == kNone) return kNone;
  for (const uint32_t* p = used.begin(node) + 1; p != used.end(node); p += 2)
    if (*p == byte) return p[1];
  return kNone;
}

uint32_t Arena::used_insert(uint32_t root, const std::string& name) {
  std::vector<uint32_t> path{root};
  for (const char c : name) path.push_back(used_child(path.back(), static_cast<uint8_t>(c)));
  std::vector<uint32_t> words;
  uint32_t child = kNone;
  for (size_t depth = name.size() + 1; depth-- > 0;) {
    words.assign(1, 0);
    if (path[depth] != kNone) words.assign(used.begin(path[depth]), used.end(path[depth]));
    if (depth == name.size()) {
      words[0] = 1;
    } else {
      const auto byte = static_cast<uint32_t>(static_cast<uint8_t>(name[depth]));
      size_t at = 1;
      while (at < words.size() && words[at] < byte) at += 2;
      if (at < words.size() && words[at] == byte)
        words[at + 1] = child;
      else
        words.insert(words.begin() + static_cast<std::ptrdiff_t>(at), {byte, child});
    }
    child = used.intern(words.data(), words.size());
  }
  used_sizes[child] = used_size(root) + 1;
  return child;
}

uint32_t Arena::used_size(uint32_t root) const {
  const auto known = used_sizes.find(root);
  return known == used_sizes.end() ? 0 : known->second;
}

std::string Arena::prefix_text(uint32_t prefix) const {
  std::string text;
  for (; prefix; prefix = prefixes[prefix].parent)
    text.push_back(static_cast<char>(prefixes[prefix].byte));
  std::reverse(text.begin(), text.end());
  return text;
}

uint64_t Arena::memory() const {
  return cells.bytes() + cell_facts.capacity() * sizeof(CellFacts) + objects.bytes() +
         keys.bytes() + prefixes.bytes() + used.bytes() + configs.bytes() + mask_bytes +
         items.bytes() + levels.bytes() + tracked.bytes() +
         masks.size() * 96 +
         (potentials.size() + onward.size() + needed.size() + spellable.size() + fresh.size() +
          forgotten.size() + nameless.size() + representatives.size() +
          meets_unlike.size() + shared.size()) * 48;
}

}  // namespace constrain
