// How a text can be finished: its shortest completion, and with how many tokens.
#include <deque>
#include <queue>

#include "compiled.h"

namespace constrain {

uint32_t Compiled::potential(ConfigId config) { return machine_->potential(threads(config)); }

// The first byte of the shortest completion, and the threads that matter after it. Kept, since
// the ways to the end run together: most of them are known but for their first bytes.
Onward Compiled::onward(ConfigId config) {
  const auto known = arena_->onward.find(config);
  if (known != arena_->onward.end()) return known->second;
  // Only the best threads matter; a lexeme that may end here has one that goes on after it.
  const Threads at = threads(config);
  const uint32_t left = machine_->potential(at);
  Threads best;
  ByteSet likely, bytes;
  for (const Thread& t : at) {
    if (machine_->potential(t) > left) continue;
    best.push_back(t);
    likely = likely | machine_->likely_bytes(t, left);
  }
  Onward found;
  for (unsigned b = 0; b < 256; ++b)
    if (likely.has(static_cast<uint8_t>(b)) && leads_on(best, left, static_cast<uint8_t>(b), found))
      return arena_->onward[config] = found;
  for (const Thread& t : best) {
    // Too many do no harm; those of a key take longer to find than to try.
    const Thread plain = machine_->untracked(t);
    const bool is_key = plain.lexeme != kFinished && plain.lexeme & kKeyBit;
    bytes = bytes | (is_key ? engine->pool.alphabet() : machine_->first_bytes(plain));
  }
  for (unsigned b = 0; b < 256; ++b)
    if (bytes.has(static_cast<uint8_t>(b)) && leads_on(best, left, static_cast<uint8_t>(b), found))
      return arena_->onward[config] = found;
  throw BadGrammar("internal: no byte shortens the completion");
}

// Does the byte leave fewer than `left` bytes?
bool Compiled::leads_on(const Threads& best, uint32_t left, uint8_t byte, Onward& found) {
  Threads next;
  machine_->step(best, byte, next);
  const auto is_near = [&](const Thread& t) {  // if items might repeat
    return machine_->potential(machine_->untracked(t)) < left;
  };
  if (std::none_of(next.begin(), next.end(), is_near) || machine_->potential(next) >= left)
    return false;
  found = {byte, arena_->config(next)};
  return true;
}

// A way of so many bytes is followed byte by byte.
void Compiled::check_distance(ConfigId config) {
  if (potential(config) > limits.search_states)
    throw LimitExceeded("search_states", potential(config),
                        static_cast<double>(limits.search_states));
}

std::string Compiled::shortest_completion(ConfigId config) {
  check_distance(config);
  std::string text;
  while (potential(config) > 0) {
    const Onward next = onward(config);
    text.push_back(static_cast<char>(next.byte));
    config = next.config;
  }
  return text;
}

// As few tokens as the shortest completion can be cut into: dynamic programming from its end, as
// far as it is not known yet.
uint32_t Compiled::fewest_tokens(ConfigId start) {
  const Trie& trie = engine->tables.trie(Tables::kVocabulary);
  auto& needed = arena_->needed;
  std::vector<ConfigId> path;
  for (ConfigId at = start; !needed.contains(at); at = onward(at).config) {
    if (potential(at) == 0) {
      needed[at] = 0;
      break;
    }
    path.push_back(at);
  }
  while (!path.empty()) {
    uint32_t least = kInfinite, node = 0;
    for (ConfigId at = path.back(); potential(at) > 0;) {
      const Onward next = onward(at);
      node = trie.child(node, next.byte);
      if (node == kNone) break;
      at = next.config;
      if (trie.tokens_begin(node) != trie.tokens_end(node))
        least = std::min(least, add_length(1, needed.at(at)));
    }
    needed[path.back()] = least;
    path.pop_back();
  }
  return needed.at(start);
}

// The same but for texts that what is still needed does not depend on: of other keys, and of
// unique items that are unlike every other.
ConfigId Compiled::without_text(ConfigId config) {
  Threads at = threads(config);
  bool changed = false;
  for (Thread& t : at) {
    const Thread before = t;
    if (machine_->is_settled_item(t)) {
      Threads one;
      one.push_back(t);
      t = machine_->forgotten(one)[0];
    }
    // Where whole tokens are searched, each text of a key would be a search of its own.
    t = machine_->with_any_name(t, engine->complete);
    // Else a token that holds a whole member might be the only way on.
    if (engine->complete) t = machine_->without_names(t);
    changed |= !(t == before);
  }
  return changed ? arena_->config(at) : config;
}

uint32_t Compiled::tokens_needed(ConfigId config) {
  config = without_text(config);
  const auto known = arena_->needed.find(config);
  if (known != arena_->needed.end()) return known->second;
  if (engine->complete) {
    check_distance(config);
    return fewest_tokens(representative(config));
  }
  const uint32_t n_tokens = search_tokens(config);
  return arena_->needed[config] = n_tokens;
}

// Every byte is a token in a complete vocabulary, so few bytes are few tokens; and no token is
// longer than the longest, so many bytes are many tokens.
bool Compiled::fits(ConfigId config, uint32_t n_tokens) {
  if (engine->complete) {
    const uint32_t n_bytes = potential(config);
    if (n_bytes <= n_tokens) return true;
    if (n_bytes > uint64_t{n_tokens} * engine->longest_token) return false;
  }
  return tokens_needed(config) <= n_tokens;
}

// Breadth-first over tokens, for vocabularies in which some byte is no token: fewest tokens.
uint32_t Compiled::search_tokens(ConfigId start) {
  std::unordered_map<ConfigId, uint32_t> length{{start, 0}};
  std::deque<ConfigId> queue{start};
  std::vector<uint64_t> mask(engine->tables.n_words());
  while (!queue.empty()) {
    const ConfigId at = queue.front();
    queue.pop_front();
    if (accepts_end(at)) return length[at];
    masker_->fill(threads(at), mask.data());
    for (uint32_t t = 0; t < engine->n_vocab; ++t) {
      if (!(mask[t >> 6] >> (t & 63) & 1)) continue;
      ConfigId after;
      size_t n_read;
      if (!step(at, engine->tables.token(t), after, n_read)) continue;
      if (length.emplace(after, length[at] + 1).second) queue.push_back(after);
    }
    if (length.size() > limits.search_states)
      throw LimitExceeded("search_states", static_cast<double>(length.size()),
                          static_cast<double>(limits.search_states));
  }
  return kInfinite;
}

// Best-first (by bytes to the end) over configurations after whole tokens.
bool Compiled::spellable(ConfigId start) {
  if (engine->complete) return true;
  start = without_text(start);
  auto& known = arena_->spellable;
  if (const auto it = known.find(start); it != known.end()) return it->second;
  using Entry = std::pair<uint32_t, ConfigId>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  std::unordered_map<ConfigId, ConfigId> parent{{start, start}};
  queue.emplace(0, start);
  std::vector<uint64_t> mask(engine->tables.n_words());
  ConfigId hit = kNone;
  while (!queue.empty() && hit == kNone) {
    const ConfigId at = queue.top().second;
    queue.pop();
    const auto it = known.find(at);
    if (accepts_end(at) || (it != known.end() && it->second)) {
      hit = at;
      break;
    }
    if (it != known.end()) continue;
    masker_->fill(threads(at), mask.data());
    for (uint32_t t = 0; t < engine->n_vocab; ++t) {
      if (!(mask[t >> 6] >> (t & 63) & 1)) continue;
      ConfigId after;
      size_t n_read;
      if (step(at, engine->tables.token(t), after, n_read) && parent.emplace(after, at).second)
        queue.emplace(potential(after), after);
    }
    if (parent.size() > limits.search_states)
      throw LimitExceeded("search_states", static_cast<double>(parent.size()),
                          static_cast<double>(limits.search_states));
  }
  if (hit == kNone) {
    for (const auto& [config, from] : parent) known.emplace(config, false);
    return false;
  }
  for (ConfigId at = hit;; at = parent[at]) {
    known[at] = true;
    if (at == start) return true;
  }
}

}  // namespace constrain
