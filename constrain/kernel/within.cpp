// Masks within a budget: the tokens after which so many more suffice to finish.
//
// The ordinary mask says what is allowed; of that, whole groups are settled at once: tokens that
// bring the lexemes into the same states (landings.cpp) need equally much. What is in no group
// is looked at byte by byte, in the order of the vocabulary's tree, so that beginnings in common
// are read once: tokens that go on after a lexeme, those along the names of a key, and those
// along which an item of a unique array may become a forbidden value.
#include "compiled.h"

namespace constrain {

namespace {

void add_token(uint64_t* mask, uint32_t token) { mask[token >> 6] |= uint64_t{1} << (token & 63); }

}  // namespace

// --- tokens apart

void Masker::mark_special(const Thread& thread, uint64_t* mask) {
  if (machine_.any_live(thread)) mark_live(thread, mask);
  const Thread plain = machine_.untracked(thread);
  if (plain.lexeme & kKeyBit) mark_names(plain, mask);
}

void Masker::mark_names(const Thread& thread, uint64_t* mask) {
  const Trie& trie = tables_.trie(Tables::kVocabulary);
  const Key key = machine_.arena().keys[thread.lexeme & ~kKeyBit];
  const ObjectSpec& spec = machine_.program().objects[key.object];
  if (key.name == kNone && key.used == kNone) return;
  std::vector<NameStep> pending{{0, key}}, next;
  while (!pending.empty()) {
    const NameStep at = pending.back();
    pending.pop_back();
    const uint32_t end = at.key.escape == kNoEscape ? trie.child(at.node, '"') : kNone;
    if (end != kNone)  // the name itself
      for (const uint32_t* t = trie.tokens_begin(end); t != trie.subtree_end(end); ++t)
        add_token(mask, *t);
    next.clear();
    push_names(trie, at, spec, next);
    for (const NameStep& step : next) {
      for (const uint32_t* t = trie.tokens_begin(step.node); t != trie.tokens_end(step.node); ++t)
        add_token(mask, *t);
      pending.push_back(step);
    }
  }
}

void Masker::mark_live(const Thread& thread, uint64_t* mask) {
  const Trie& trie = tables_.trie(Tables::kVocabulary);
  struct At {
    uint32_t node;
    Threads live;
  };
  std::vector<At> pending(1);
  pending[0].node = 0;
  pending[0].live.push_back(thread);
  while (!pending.empty()) {
    const At at = std::move(pending.back());
    pending.pop_back();
    ByteSet bytes;
    for (const Thread& t : at.live) bytes = bytes | machine_.bytes_towards_used(t);
    for (const uint32_t* c = trie.children_begin(at.node); c != trie.children_end(at.node); ++c) {
      if (!bytes.has(trie.byte(*c))) continue;
      Threads after;
      bool ended = false;
      for (const Thread& t : at.live) {
        machine_.step_unchecked(t, trie.byte(*c), after);
        ended |= machine_.ended_live();
      }
      At next{*c, {}};
      for (const Thread& t : after)
        if (machine_.any_live(t)) next.live.push_back(t);
      if (next.live.empty() && !ended) continue;
      const uint32_t* end = ended ? trie.subtree_end(*c) : trie.tokens_end(*c);
      for (const uint32_t* t = trie.tokens_begin(*c); t != end; ++t) add_token(mask, *t);
      if (!ended) pending.push_back(std::move(next));
    }
  }
}

// --- groups

// What may follow once the lexeme has ended as a scalar or a text.
ByteSet Compiled::bytes_after(const Thread& thread) {
  ByteSet bytes;
  if (engine->pool.min_length(thread.lexeme, kTagScalar) == kInfinite) return bytes;
  Threads after;
  machine_->finish(thread.cell, kTagScalar, after);
  for (const Thread& t : after) bytes = bytes | machine_->first_bytes(t);
  return bytes;
}

// False: what follows depends on the text of every token.
bool Compiled::find_parts(Budget& work, std::vector<LandingPart>& parts) {
  for (const Thread& t : work.at) {
    if (t.lexeme == kFinished) continue;
    if (is_tracked(t.lexeme)) {
      if (!machine_->is_forgettable(t)) return false;
      work.is_tracked = true;
    }
    masker_->mark_special(t, work.apart.data());
    const Thread plain = machine_->untracked(t);
    if (plain.lexeme & kKeyBit) {
      const ExprId other = arena_->keys[plain.lexeme & ~kKeyBit].other;
      if (other != ExprPool::kEmptyExpr) parts.push_back({other, {}, true});
    } else {
      parts.push_back({plain.lexeme, bytes_after(plain)});
    }
  }
  return !parts.empty();
}

bool Compiled::step_token(const Threads& from, uint32_t token, Threads& to) {
  to = from;
  Threads next;
  for (const char c : engine->tables.token(token)) {
    next.clear();
    machine_->step(to, static_cast<uint8_t>(c), next);
    to.swap(next);
  }
  return !to.empty();
}

// Of a token and all others of its group.
Compiled::Verdict Compiled::verdict(const Budget& work, uint32_t token) {
  Threads at;
  step_token(work.at, token, at);
  const uint32_t n_bytes = machine_->potential(at);
  if (n_bytes <= work.n_tokens) return Verdict::kFits;
  if (n_bytes > uint64_t{work.n_tokens} * engine->longest_token) return Verdict::kExceeds;
  // The shortest completion is the same for all but where later items must be unlike this one.
  const auto is_settled = [&](const Thread& t) { return machine_->is_settled_item(t); };
  if (work.is_tracked && !std::all_of(at.begin(), at.end(), is_settled)) return Verdict::kOpen;
  const ConfigId after = without_text(arena_->config(at));
  if (with_unlike_names(after) != after) return Verdict::kUnlike;
  return tokens_needed(after) <= work.n_tokens ? Verdict::kFits : Verdict::kExceeds;
}

void Compiled::settle_groups(Budget& work) {
  const uint32_t n_words = engine->tables.n_words();
  work.apart.assign(n_words, 0);
  std::vector<LandingPart> parts;
  if (!find_parts(work, parts)) return;
  std::vector<uint64_t> group(n_words);
  for (const TokenSet& tokens : engine->tables.landings(std::move(parts))) {
    std::fill(group.begin(), group.end(), 0);
    tokens.add_to(group.data());
    uint32_t first = kNone;
    for (uint32_t w = 0; w < n_words; ++w) {
      group[w] &= work.open[w] & ~work.apart[w];
      if (group[w] && first == kNone)
        first = w * 64 + static_cast<uint32_t>(__builtin_ctzll(group[w]));
    }
    if (first == kNone) continue;
    const Verdict found = verdict(work, first);
    if (found == Verdict::kOpen || found == Verdict::kUnlike) {
      if (found == Verdict::kOpen) settle_unlike(work, group);
      else if (!work.is_tracked) settle_names(work, first, group);
      continue;
    }
    for (uint32_t w = 0; w < n_words; ++w) {
      work.open[w] &= ~group[w];
      if (found == Verdict::kFits) work.mask[w] |= group[w];
    }
  }
  settle_closed(work);
}

// --- single tokens

void Compiled::settle_each(Budget& work) {
  const std::vector<uint32_t>& places = engine->tables.places();
  const auto& ordered = engine->tables.trie(Tables::kVocabulary).tokens();
  std::vector<uint32_t> open;  // as places, so that beginnings in common are neighbours
  for (uint32_t w = 0; w < work.open.size(); ++w)
    for (uint64_t word = work.open[w]; word; word &= word - 1)
      open.push_back(places[w * 64 + static_cast<uint32_t>(__builtin_ctzll(word))]);
  std::sort(open.begin(), open.end());
  std::vector<Threads> states{work.at};  // after each byte of the token before
  std::string_view before;
  for (const uint32_t place : open) {
    const std::string_view text = engine->tables.token(ordered[place]);
    size_t shared = 0;
    const size_t most = std::min({text.size(), before.size(), states.size() - 1});
    while (shared < most && text[shared] == before[shared]) ++shared;
    states.resize(shared + 1);
    while (states.size() <= text.size() && !states.back().empty()) {
      Threads next;
      machine_->step(states.back(), static_cast<uint8_t>(text[states.size() - 1]), next);
      states.push_back(std::move(next));
    }
    before = text;
    if (states.back().empty()) continue;
    Threads here = states.back();
    const ConfigId after = arena_->config(here);
    if (spellable(after) && fits(after, work.n_tokens)) add_token(work.mask, ordered[place]);
  }
}

void Compiled::fill_mask_within(ConfigId config, uint32_t n_tokens, uint64_t* mask) {
  Budget work{threads(config), n_tokens, std::vector<uint64_t>(engine->tables.n_words()), mask};
  if (engine->complete) text_mask(config, work.open.data());
  else masker_->fill(work.at, work.open.data());
  std::fill_n(mask, engine->tables.n_words(), 0);
  if (engine->complete) settle_groups(work);
  settle_each(work);
  if (accepts_end(config))
    for (const uint32_t id : engine->end_ids) add_token(mask, id);
}

}  // namespace constrain
