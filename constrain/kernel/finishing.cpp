// How a text can be finished: its shortest completion, and with how many tokens.
#include <deque>
#include <queue>

#include "compiled.h"

namespace constrain {

uint32_t Compiled::potential(ConfigId config) { return machine_->potential(threads(config)); }

std::string Compiled::shortest_completion(ConfigId config) {
  std::string text;
  Threads at = threads(config);
  uint32_t left = machine_->potential(at);
  while (left > 0) {
    // Only the best threads matter; a lexeme that may end here has one that goes on after it.
    Threads best;
    ByteSet bytes;
    for (const Thread& t : at) {
      if (machine_->potential(t) > left) continue;
      best.push_back(t);
      bytes = bytes | machine_->first_bytes(t);
    }
    uint32_t least = kInfinite;
    Threads nearest;
    char byte = 0;
    for (unsigned b = 0; b < 256 && least >= left; ++b) {
      if (!bytes.has(static_cast<uint8_t>(b))) continue;
      Threads next;
      machine_->step(best, static_cast<uint8_t>(b), next);
      const uint32_t after = machine_->potential(next);
      if (after >= least) continue;
      least = after;
      nearest = next;
      byte = static_cast<char>(b);
    }
    if (least >= left) throw BadGrammar("internal: no byte shortens the completion");
    text.push_back(byte);
    at.swap(nearest);
    left = least;
  }
  return text;
}

// As few tokens as the text can be cut into: dynamic programming from its end.
static uint32_t fewest_tokens(const Trie& trie, const std::string& text) {
  std::vector<uint32_t> need(text.size() + 1, kInfinite);
  need[text.size()] = 0;
  for (size_t i = text.size(); i-- > 0;) {
    uint32_t node = 0;
    for (size_t j = i; j < text.size(); ++j) {
      node = trie.child(node, static_cast<uint8_t>(text[j]));
      if (node == kNone) break;
      if (trie.tokens_begin(node) != trie.tokens_end(node))
        need[i] = std::min(need[i], add_length(1, need[j + 1]));
    }
  }
  return need[0];
}

// The same but for texts that what is still needed does not depend on: of other keys that are
// unlike every declared or used one, and of unique items that are unlike every other.
ConfigId Compiled::without_text(ConfigId config) {
  Threads at = threads(config);
  bool changed = false;
  for (Thread& t : at) {
    if (machine_->is_settled_item(t)) {
      Threads one;
      one.push_back(t);
      t = machine_->forgotten(one)[0];
      changed = true;
    }
    if (t.lexeme == kFinished || !(t.lexeme & kKeyBit)) continue;
    Key key = arena_->keys[t.lexeme & ~kKeyBit];
    if (key.name != kNone || key.used != kNone || key.prefix == 0) continue;
    key.prefix = arena_->prefixes.intern({0, 'x'});
    t.lexeme = kKeyBit | arena_->keys.intern(key);
    changed = true;
  }
  return changed ? arena_->config(at) : config;
}

uint32_t Compiled::tokens_needed(ConfigId config) {
  config = without_text(config);
  const auto known = arena_->needed.find(config);
  if (known != arena_->needed.end()) return known->second;
  const uint32_t n_tokens =
      engine->complete ? fewest_tokens(engine->tables.trie(Tables::kVocabulary),
                                       shortest_completion(config))
                       : search_tokens(config);
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

// Depth first through the vocabulary: threads after every prefix of a token.
void Compiled::fill_mask_within(ConfigId config, uint32_t n_tokens, uint64_t* mask) {
  std::fill_n(mask, engine->tables.n_words(), 0);
  const Trie& trie = engine->tables.trie(Tables::kVocabulary);
  std::vector<Threads> states{threads(config)};
  for (uint32_t node = 1; node < trie.size();) {
    const uint32_t depth = trie.depth(node);
    states.resize(depth + 1);
    states[depth].clear();
    machine_->step(states[depth - 1], trie.byte(node), states[depth]);
    if (states[depth].empty()) {
      node = trie.end(node);
      continue;
    }
    if (trie.tokens_begin(node) != trie.tokens_end(node)) {
      Threads here = states[depth];
      const ConfigId after = arena_->config(here);
      const bool ends = spellable(after) && fits(after, n_tokens);
      for (const uint32_t* t = trie.tokens_begin(node); ends && t != trie.tokens_end(node); ++t)
        mask[*t >> 6] |= uint64_t{1} << (*t & 63);
    }
    ++node;
  }
  if (accepts_end(config))
    for (const uint32_t id : engine->end_ids) mask[id >> 6] |= uint64_t{1} << (id & 63);
}

}  // namespace constrain
