// Masks within a budget: tokens that end a key, or a string in a unique array, and go on.
//
// What is needed then depends on what they go on with; the text that ended matters only to later
// keys or items that must be unlike it. So tokens that go on alike are settled by one of them,
// unless the way on, or the shortest completion, reads such a key or item.
#include <map>
#include <string_view>

#include "compiled.h"

namespace constrain {

// Is a key or an item being read that must be unlike earlier ones?
bool Compiled::reads_unlike(const Threads& at) const {
  return std::any_of(at.begin(), at.end(), [&](const Thread& t) {
    if (t.lexeme == kFinished) return false;
    return is_tracked(t.lexeme) ||
           (t.lexeme & kKeyBit && arena_->keys[t.lexeme & ~kKeyBit].used != kNone);
  });
}

// Does the shortest completion come to such a key or item?
bool Compiled::meets_unlike(ConfigId start) {
  auto& known = arena_->meets_unlike;
  std::vector<ConfigId> path;
  bool found = false;
  for (ConfigId at = start; !found && potential(at) > 0; at = onward(at).config) {
    const auto before = known.find(at);
    found = before != known.end() ? before->second : reads_unlike(threads(at));
    path.push_back(at);
    if (before != known.end()) break;
  }
  for (const ConfigId at : path) known[at] = found;
  return found;
}

// Of a token whose lexeme ends before byte `end`, and of all that go on like it.
Compiled::Verdict Compiled::verdict_closed(const Budget& work, uint32_t token, size_t end) {
  const std::string& text = engine->tables.token(token);
  Threads at = work.at, next;
  for (size_t i = 0; i < text.size(); ++i) {
    next.clear();
    machine_->step(at, static_cast<uint8_t>(text[i]), next);
    at.swap(next);
    if (i + 1 >= end && reads_unlike(at)) return Verdict::kOpen;
  }
  const uint32_t n_bytes = machine_->potential(at);
  if (n_bytes <= work.n_tokens) return Verdict::kFits;
  if (n_bytes > uint64_t{work.n_tokens} * engine->longest_token) return Verdict::kExceeds;
  const ConfigId start = without_text(arena_->config(at));
  if (meets_unlike(start)) return Verdict::kOpen;
  return tokens_needed(start) <= work.n_tokens ? Verdict::kFits : Verdict::kExceeds;
}

void Compiled::settle_closed(Budget& work) {
  if (work.at.size() != 1 || work.at[0].lexeme == kFinished) return;
  const Thread thread = work.at[0], plain = machine_->untracked(thread);
  const bool is_key = plain.lexeme & kKeyBit;
  if (!is_key && !work.is_tracked) return;
  ExprPool& pool = engine->pool;
  const Key key = is_key ? arena_->keys[plain.lexeme & ~kKeyBit] : Key{};
  const ExprId start = is_key ? key.other : plain.lexeme;
  std::map<std::pair<ExprId, std::string_view>, std::vector<uint32_t>> groups;
  for (uint32_t w = 0; w < work.open.size(); ++w)
    for (uint64_t word = work.open[w] & ~work.apart[w]; word; word &= word - 1) {
      const uint32_t token = w * 64 + static_cast<uint32_t>(__builtin_ctzll(word));
      const std::string_view text = engine->tables.token(token);
      ExprId state = start;
      size_t end = 0;
      while (end < text.size() && state != ExprPool::kEmptyExpr && !pool.tags(state))
        state = pool.next(state, static_cast<uint8_t>(text[end++]));
      const bool is_empty = is_key && key.prefix == 0 && end < 2;  // the shortest key counts
      if (!is_empty && state != ExprPool::kEmptyExpr && pool.is_final(state))
        groups[{state, text.substr(end)}].push_back(token);
    }
  for (const auto& [like, tokens] : groups) {
    const size_t end = engine->tables.token(tokens[0]).size() - like.second.size();
    const Verdict found = verdict_closed(work, tokens[0], end);
    if (found == Verdict::kOpen) continue;
    for (const uint32_t t : tokens) {
      const uint64_t bit = uint64_t{1} << (t & 63);
      work.open[t >> 6] &= ~bit;
      if (found == Verdict::kFits) work.mask[t >> 6] |= bit;
    }
  }
}

}  // namespace constrain
