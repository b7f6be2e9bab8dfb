#include "mask.h"

namespace constrain {

namespace {

// A tree this small is stepped through rather than split into a table of its own.
constexpr uint32_t kSmallTree = 8;

// Masks up to about this many tokens are remembered as lists.
constexpr size_t kListed = 1024;

}  // namespace

void Masker::add_set(const TokenSet& set) {
  if (set.words.empty()) {
    add_tokens(set.ids.data(), set.ids.data() + set.ids.size());
    return;
  }
  listable_ = false;
  if (blank_) {  // the first dense set is copied, not merged
    std::copy(set.words.begin(), set.words.end(), mask_);
    blank_ = false;
    return;
  }
  set.add_to(mask_);
}

void Masker::add_tokens(const uint32_t* begin, const uint32_t* end) {
  if (begin == end) return;
  if (blank_) {
    std::fill_n(mask_, tables_.n_words(), 0);
    blank_ = false;
  }
  for (const uint32_t* t = begin; t != end; ++t) mask_[*t >> 6] |= uint64_t{1} << (*t & 63);
  listable_ &= listed_.size() < kListed;
  if (listable_) listed_.insert(listed_.end(), begin, end);
}

bool Masker::first_visit(TrieId trie, const Thread& thread) {
  const Visit visit{trie, thread};
  if (std::find(visits_.begin(), visits_.end(), visit) != visits_.end()) return false;
  visits_.push_back(visit);
  return true;
}

void Masker::fill(const Threads& threads, uint64_t* mask) {
  fill_from(Tables::kVocabulary, machine_.forgotten(threads), mask);
  settle(threads, mask);
}

void Masker::fill_forgotten(const Threads& forgotten, uint64_t* mask) {
  fill_from(Tables::kVocabulary, forgotten, mask);
}

// The tokens of one tree; those that need a look at the whole text are left in uncertain_.
void Masker::fill_from(TrieId trie, const Threads& threads, uint64_t* mask) {
  mask_ = mask;
  blank_ = listable_ = true;
  listed_.clear();
  visits_.clear();
  uncertain_.clear();
  for (const Thread& thread : threads) walk(trie, thread, false);
  if (blank_) std::fill_n(mask_, tables_.n_words(), 0);
}

// `name_open`: inside this very token an other key ended whose name was not looked at.
void Masker::walk(TrieId trie, const Thread& thread, bool name_open) {
  if (thread.lexeme == kFinished || !first_visit(trie, thread)) return;
  if (is_tracked(thread.lexeme)) {  // its values may run out: few tokens can come
    walk_bytes(trie, thread, name_open);
    return;
  }
  if (machine_.begins_unknown(thread)) {
    walk_unknown(trie, thread);
    return;
  }
  if (thread.lexeme & kKeyBit) {
    walk_key(trie, thread, name_open);
    return;
  }
  if (tables_.trie(trie).size() <= kSmallTree) {
    walk_bytes(trie, thread, name_open);
    return;
  }
  // What stands on the root frame is the last lexeme: nothing can follow it.
  const bool last = machine_.arena().cells[thread.cell].kind == FrameKind::kRoot;
  const LexemeTable& table = tables_.table(trie, thread.lexeme, !last);
  add_set(*table.inside);
  if (last) return;
  for (const LexemeTable::Exit& exit : table.exits) {
    Threads after;
    machine_.finish(thread.cell, exit.tag, after);
    for (const Thread& next : after) walk(exit.trie, next, name_open);
  }
}

void Masker::walk_bytes(TrieId id, const Thread& thread, bool name_open) {
  const Trie& trie = tables_.trie(id);
  std::vector<Threads> states(1);
  states[0].push_back(thread);
  std::vector<uint32_t> n_quotes{0};
  std::vector<bool> unknown{false};  // has a further item begun where those before are forgotten?
  for (uint32_t node = 1; node < trie.size();) {
    const uint32_t depth = trie.depth(node);
    states.resize(depth + 1);
    n_quotes.resize(depth);
    unknown.resize(depth);
    states[depth].clear();
    machine_.step(states[depth - 1], trie.byte(node), states[depth]);
    if (states[depth].empty()) {
      node = trie.end(node);
      continue;
    }
    n_quotes.push_back(n_quotes.back() + (trie.byte(node) == '"'));
    bool begins = unknown.back();
    for (const Thread& t : states[depth]) begins |= machine_.begins_unknown(t);
    unknown.push_back(begins);
    if (begins || (name_open && n_quotes.back() > 1))  // a second key may have ended
      uncertain_.insert(uncertain_.end(), trie.tokens_begin(node), trie.tokens_end(node));
    else
      add_tokens(trie.tokens_begin(node), trie.tokens_end(node));
    ++node;
  }
}

// The nodes of the tree that continue the key along declared or used names.
void Masker::push_names(const Trie& trie, const NameStep& at, const ObjectSpec& spec,
                        std::vector<NameStep>& next) const {
  const auto push = [&](uint32_t node) {
    if (node == kNone) return;
    NameStep step{node, at.key};
    if (!machine_.step_name(step.key, spec, trie.byte(node))) return;
    if (spec.may_run_out && step.key.other != ExprPool::kEmptyExpr)
      step.key.other = machine_.program().pool.next(step.key.other, trie.byte(node));
    if (step.key.name == kNone && step.key.used == kNone) return;
    next.push_back(step);
  };
  if (at.key.escape != kNoEscape) {
    for (const uint32_t* c = trie.children_begin(at.node); c != trie.children_end(at.node); ++c)
      push(*c);
    return;
  }
  const Arena& arena = machine_.arena();
  if (at.key.name != kNone) {
    const NameTree::Node& node = spec.names.nodes[at.key.name];
    for (uint32_t c = node.first_child; c < node.first_child + node.n_children; ++c) {
      const uint8_t byte = spec.names.nodes[c].byte;
      if (byte != '"' && byte != '\\') push(trie.child(at.node, byte));
    }
  }
  if (at.key.used != kNone) {
    for (const uint32_t* p = arena.used.begin(at.key.used) + 1; p != arena.used.end(at.key.used);
         p += 2) {
      const auto byte = static_cast<uint8_t>(*p);
      const bool declared =
          at.key.name != kNone && spec.names.child(at.key.name, byte) != kNone;
      if (!declared && byte != '"' && byte != '\\') push(trie.child(at.node, byte));
    }
  }
  if (spec.names_need_escapes || at.key.used != kNone) push(trie.child(at.node, '\\'));
}

// Follows the names through the tree. `closed`: the nodes where a declared or used name meets
// its closing quotation mark. Tokens on the way to a declared name are added.
void Masker::find_names(TrieId id, const Key& key, const Cell& cell,
                        std::vector<NameStep>& closed) {
  const Trie& trie = tables_.trie(id);
  const ObjectSpec& spec = machine_.program().objects[cell.node];
  const bool others = key.other != ExprPool::kEmptyExpr;
  std::vector<NameStep> pending{{0, key}}, next;
  while (!pending.empty()) {
    const NameStep at = pending.back();
    pending.pop_back();
    if (at.key.escape == kNoEscape) {
      const bool declared = at.key.name != kNone && spec.names.nodes[at.key.name].terminal;
      if (declared || machine_.arena().used_terminal(at.key.used)) {
        const uint32_t node = trie.child(at.node, '"');
        if (node != kNone) closed.push_back({node, at.key});
      }
    }
    next.clear();
    push_names(trie, at, spec, next);
    for (const NameStep& step : next) {
      // Where other keys are free-form, their table has every beginning of a name anyway.
      const bool free_form = others && !spec.may_run_out;
      if (!free_form && machine_.names_alive(step.key, cell)) {
        add_tokens(trie.tokens_begin(step.node), trie.tokens_end(step.node));
      } else if (!others) {
        continue;
      } else if (spec.may_run_out && !machine_.may_go_on(step.key, cell)) {
        // All names of a class that begin like this one are taken.
        spent_.insert(spent_.end(), trie.tokens_begin(step.node), trie.tokens_end(step.node));
      }
      pending.push_back(step);
    }
  }
}

// Other keys: as a plain string, but for the tokens that close a declared or used name.
void Masker::walk_other(TrieId id, const Key& key, CellId cell,
                        const std::vector<NameStep>& closed) {
  const Trie& trie = tables_.trie(id);
  std::vector<uint32_t> taken;
  for (const uint32_t t : spent_)
    if (blank_ || !(mask_[t >> 6] >> (t & 63) & 1)) taken.push_back(t);
  for (const NameStep& step : closed)
    for (const uint32_t* t = trie.tokens_begin(step.node); t != trie.subtree_end(step.node); ++t)
      if (blank_ || !(mask_[*t >> 6] >> (*t & 63) & 1)) taken.push_back(*t);
  const LexemeTable& table = tables_.table(id, key.other, true);
  add_set(*table.inside);
  for (const LexemeTable::Exit& exit : table.exits) {
    Threads after;
    machine_.close_unnamed(cell, exit.tag, after);
    for (const Thread& next : after) walk(exit.trie, next, true);
  }
  if (!taken.empty()) listable_ = false;
  for (const uint32_t t : taken) mask_[t >> 6] &= ~(uint64_t{1} << (t & 63));
}

void Masker::walk_key(TrieId id, const Thread& thread, bool name_open) {
  if (name_open) {  // whether a second name is taken depends on the first
    const auto& tokens = tables_.trie(id).tokens();
    uncertain_.insert(uncertain_.end(), tokens.begin(), tokens.end());
    return;
  }
  const Key key = machine_.arena().keys[thread.lexeme & ~kKeyBit];
  const Cell cell = machine_.arena().cells[thread.cell];
  std::vector<NameStep> closed;
  spent_.clear();
  find_names(id, key, cell, closed);
  if (key.other != ExprPool::kEmptyExpr) walk_other(id, key, thread.cell, closed);
  for (const NameStep& step : closed) {
    Threads after;
    machine_.close_key(step.key, thread.cell, after);
    if (after.empty()) continue;
    const Trie& trie = tables_.trie(id);
    add_tokens(trie.tokens_begin(step.node), trie.tokens_end(step.node));
    if (trie.end(step.node) == step.node + 1) continue;
    const TrieId rest = tables_.subtree(id, step.node);
    for (const Thread& next : after) walk(rest, next, false);
  }
}

}  // namespace constrain
