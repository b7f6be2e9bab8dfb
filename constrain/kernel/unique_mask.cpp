// Masks inside items of unique arrays.
//
// Where any item has plenty of values, nearly all tokens are allowed whatever was read: the mask
// is that of the same array without `uniqueItems` (forgotten), found again by its number, but for
// two kinds of tokens. Those that end a further item are noted while that mask is made; those
// along which the present item may become a forbidden value are found by following the forbidden
// values through the tree of tokens, mostly a handful of nodes. Both are looked at byte by byte.
#include "mask.h"

namespace constrain {

// Is it certain, whatever the items are, whether another can follow the one that is read?
bool Machine::is_more_certain(const Cell& cell) const {
  if (is_forgotten(cell.state)) return true;
  if (arena_.items.count(cell.state) >= kPlenty / 2) return false;
  const ArraySpec& spec = program_.arrays[cell.node];
  if (cell.phase == Phase::kAfter || cell.a < spec.min_items) return true;
  const uint32_t next = program_.value_of_item(spec, cell.a);
  return next == kNone || program_.has_plenty(next);
}

// The cell and those below it without the items that were read; kNone: some array might run out.
CellId Machine::forgotten_cell(CellId id) {
  const auto known = arena_.forgotten.find(id);
  if (known != arena_.forgotten.end()) return known->second;
  std::vector<CellId> chain;
  bool certain = true;
  for (CellId at = id; at != 0; at = arena_.cells[at].parent) {
    const Cell& cell = arena_.cells[at];
    chain.push_back(at);
    if (cell.kind != FrameKind::kArray || !program_.arrays[cell.node].unique) continue;
    certain &= is_more_certain(cell);
  }
  if (!certain) return arena_.forgotten[id] = kNone;
  CellId parent = 0;
  for (size_t i = chain.size(); i-- > 0;) {
    Cell cell = arena_.cells[chain[i]];
    cell.parent = parent;
    if (cell.kind == FrameKind::kArray && program_.arrays[cell.node].unique &&
        !is_forgotten(cell.state))
      cell.state = kAnyItems;
    parent = make_cell(cell);
  }
  return arena_.forgotten[id] = parent;
}

bool Machine::is_settled_item(const Thread& thread) {
  if (!is_tracked(thread.lexeme) || any_live(thread) || !is_forgettable(thread)) return false;
  for (CellId at = thread.cell; at != 0; at = arena_.cells[at].parent) {
    const Cell& cell = arena_.cells[at];
    if (cell.kind != FrameKind::kArray) continue;
    const ArraySpec& spec = program_.arrays[cell.node];
    if (spec.unique && cell.a < spec.min_items) return false;
  }
  return true;
}

Threads Machine::forgotten(const Threads& threads) {
  Threads result;
  for (const Thread& t : threads) {
    const CellId cell = has_unique_ ? forgotten_cell(t.cell) : t.cell;
    const bool is_kept = cell == kNone || cell == t.cell;
    result.push_back(is_kept ? t : Thread{untracked(t).lexeme, cell});
  }
  return result;
}

bool Machine::begins_unknown(const Thread& thread) const {
  if (thread.lexeme == kFinished) return false;
  const Cell& cell = arena_.cells[thread.cell];
  return cell.kind == FrameKind::kArray && cell.state == kMoreItems && cell.phase == Phase::kValue;
}

// A further item, begun inside the token: while it has plenty of values it can be another than
// those before, whatever they are. Where it ends, they must be known.
void Masker::walk_unknown(TrieId id, const Thread& thread) {
  ExprPool& pool = machine_.program().pool;
  const Trie& trie = tables_.trie(id);
  struct At {
    ExprId state;
    bool has_exponent;  // then digits do not tell numbers apart
  };
  std::vector<At> states{{thread.lexeme, false}};
  for (uint32_t node = 1; node < trie.size();) {
    states.resize(trie.depth(node));
    const uint8_t byte = trie.byte(node);
    const ExprId state = pool.next(states.back().state, byte);
    const bool ended = pool.tags(state) != 0;
    const bool has_exponent = states.back().has_exponent || byte == 'e' || byte == 'E';
    const bool is_sure =
        state != ExprPool::kEmptyExpr && !has_exponent && pool.has_plenty(state);
    const uint32_t* end = ended ? trie.subtree_end(node) : trie.tokens_end(node);
    if (is_sure) add_tokens(trie.tokens_begin(node), trie.tokens_end(node));
    if (state != ExprPool::kEmptyExpr)
      uncertain_.insert(uncertain_.end(),
                        is_sure ? trie.tokens_end(node) : trie.tokens_begin(node), end);
    if (state == ExprPool::kEmptyExpr || ended) {
      node = trie.end(node);
      continue;
    }
    states.push_back({state, has_exponent});
    ++node;
  }
}

// Tokens along which an item may become a forbidden value.
void Masker::find_suspects(const Threads& threads, std::vector<uint32_t>& suspects) {
  const Trie& trie = tables_.trie(Tables::kVocabulary);
  struct At {
    uint32_t node;
    Threads live;
  };
  Threads live;
  for (const Thread& t : threads)
    if (machine_.any_live(t) && machine_.is_forgettable(t)) live.push_back(t);
  if (live.empty()) return;
  std::vector<At> pending(1);
  pending[0].node = 0;
  pending[0].live = live;
  while (!pending.empty()) {
    const At at = std::move(pending.back());
    pending.pop_back();
    ByteSet bytes;
    for (const Thread& t : at.live) bytes = bytes | machine_.bytes_towards_used(t);
    for (const uint32_t* c = trie.children_begin(at.node); c != trie.children_end(at.node); ++c) {
      if (!bytes.has(trie.byte(*c))) continue;
      Threads after;
      bool ended = false, has_read = false;
      for (const Thread& t : at.live) {
        machine_.step_unchecked(t, trie.byte(*c), after);
        ended |= machine_.ended_live();
      }
      At next{*c, {}};
      for (const Thread& t : after) {
        if (!machine_.any_live(t)) continue;
        next.live.push_back(t);
        has_read |= machine_.has_read(t);
      }
      if (ended) {
        suspects.insert(suspects.end(), trie.tokens_begin(*c), trie.subtree_end(*c));
        continue;
      }
      if (has_read)  // white space before an item takes nothing away
        suspects.insert(suspects.end(), trie.tokens_begin(*c), trie.tokens_end(*c));
      if (!next.live.empty()) pending.push_back(std::move(next));
    }
  }
}

bool Masker::allows(const Threads& threads, uint32_t token) {
  Threads at = threads, next;
  for (const char c : tables_.token(token)) {
    next.clear();
    machine_.step(at, static_cast<uint8_t>(c), next);
    at.swap(next);
    if (at.empty()) return false;
  }
  return true;
}

void Masker::settle(const Threads& threads, uint64_t* mask) {
  if (!uncertain_.empty()) listable_ = false;
  settle(threads, uncertain_, mask);
}

void Masker::settle(const Threads& threads, const std::vector<uint32_t>& uncertain,
                    uint64_t* mask) {
  for (const uint32_t token : uncertain) {
    uint64_t& word = mask[token >> 6];
    const uint64_t bit = uint64_t{1} << (token & 63);
    if (!(word & bit) && allows(threads, token)) word |= bit;
  }
  std::vector<uint32_t> suspects;
  find_suspects(threads, suspects);
  listable_ &= suspects.empty();
  for (const uint32_t token : suspects) {
    uint64_t& word = mask[token >> 6];
    const uint64_t bit = uint64_t{1} << (token & 63);
    if ((word & bit) && !allows(threads, token)) word &= ~bit;
  }
}

}  // namespace constrain
