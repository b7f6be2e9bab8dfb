// What finishing needs where later other keys must be unlike the one that is read.
//
// As with items (unique_within.cpp): the shortest completion is found once, for a key that is
// longer than all of it. It holds for every key that cannot become a name of that completion.
#include "compiled.h"

namespace constrain {

// The configuration itself if it is in no such key.
ConfigId Compiled::with_unlike_names(ConfigId config) {
  const uint32_t n_bytes = potential(config);
  if (n_bytes == kInfinite) return config;
  Threads at = threads(config);
  for (Thread& t : at) t = machine_->with_unlike_name(t, n_bytes);
  return arena_->config(at);
}

// The names of other keys that the shortest completion has, but for one that is longer.
Compiled::Names Compiled::names_ahead(ConfigId start) {
  const uint32_t n_bytes = potential(start);
  Names names;
  for (ConfigId at = start; potential(at) > 0;) {
    const Onward next = onward(at);
    if (next.byte == '"')
      for (const Thread& t : threads(at))
        if (machine_->is_in_new_key(t)) {
          std::string name = arena_->prefix_text(arena_->keys[t.lexeme & ~kKeyBit].prefix);
          if (name.size() <= n_bytes) names.push_back(std::move(name));
        }
    at = next.config;
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

bool Compiled::may_become(ConfigId config, const Names& names) const {
  for (const Thread& t : threads(config)) {
    if (!machine_->is_in_new_key(t)) continue;
    const std::string text = arena_->prefix_text(arena_->keys[t.lexeme & ~kKeyBit].prefix);
    for (const std::string& name : names)
      if (name.starts_with(text)) return true;
  }
  return false;
}

// A configuration that needs as many tokens, the same for most keys.
ConfigId Compiled::representative(ConfigId config) {
  const auto known = arena_->representatives.find(config);
  if (known != arena_->representatives.end()) return known->second;
  const ConfigId unlike = with_unlike_names(config);
  const bool is_one = unlike == config || may_become(config, names_ahead(unlike));
  return arena_->representatives[config] = is_one ? config : unlike;
}

// Settles the tokens of a group, all but those along which the key may become such a name.
// `token`: one of them.
void Compiled::settle_names(Budget& work, uint32_t token, std::vector<uint64_t>& group) {
  Threads at;
  step_token(work.at, token, at);
  const ConfigId after = with_unlike_names(without_text(arena_->config(at)));
  const bool is_fit = fewest_tokens(after) <= work.n_tokens;
  const Names names = names_ahead(after);
  std::vector<uint64_t> alike(group.size());
  for (const Thread& t : work.at)
    if (t.lexeme != kFinished && t.lexeme & kKeyBit)
      masker_->mark_special(machine_->with_used(t, names), alike.data());
  for (uint32_t w = 0; w < group.size(); ++w) {
    group[w] &= ~alike[w];
    work.open[w] &= ~group[w];
    if (is_fit) work.mask[w] |= group[w];
  }
}

}  // namespace constrain
