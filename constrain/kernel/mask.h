// The set of tokens that can come next, from lexeme tables.
//
// For each thread: the table of (vocabulary, lexeme) gives the tokens that stay inside, and for
// tokens that leave it the tree of remainders, which is looked up again under the lexeme that
// follows, and so on; depth is bounded by the longest token. Only keys are followed by bytes,
// along the declared and used names (usually a handful of nodes).
#pragma once

#include "machine.h"

namespace constrain {

class Masker {
 public:
  Masker(Machine& machine, Tables& tables) : machine_(machine), tables_(tables) {}

  // Writes the whole mask (tables.n_words() 64-bit words) of the text tokens after `threads`.
  void fill(const Threads& threads, uint64_t* mask);
  // The same in two steps (unique_mask.cpp): without a look at the text read; then the tokens
  // that need one, those `uncertain` among them.
  void fill_forgotten(const Threads& forgotten, uint64_t* mask);
  const std::vector<uint32_t>& uncertain() const { return uncertain_; }
  void settle(const Threads& threads, uint64_t* mask);
  void settle(const Threads& threads, const std::vector<uint32_t>& uncertain, uint64_t* mask);
  // After fill: the tokens allowed, if they came one by one and are few (else nullptr).
  const std::vector<uint32_t>* listed() const { return listable_ ? &listed_ : nullptr; }

  // Tokens during which the thread is still on the names of a key, or on forbidden values of an
  // item, wherever what comes after depends on more than the state of its lexeme (within.cpp).
  void mark_special(const Thread& thread, uint64_t* mask);

  // Tokens with a bias and the bias, for weighted choices among `threads` (design: weight of the
  // best alternative still reachable minus that of the present state; natural logarithm).
  // Token kNone stands for the end of the text.
  void biases(const Threads& threads, Biases& out);

 private:
  struct Visit {
    TrieId trie;
    Thread thread;
    bool operator==(const Visit& o) const { return trie == o.trie && thread == o.thread; }
  };
  struct NameStep {  // a node of a token tree reached along names
    uint32_t node;
    Key key;
  };

  void walk(TrieId trie, const Thread& thread, bool name_open);
  void walk_bytes(TrieId trie, const Thread& thread, bool name_open);
  void walk_key(TrieId trie, const Thread& thread, bool name_open);
  void walk_other(TrieId trie, const Key& key, CellId cell, const std::vector<NameStep>& closed);
  void find_names(TrieId trie, const Key& key, const Cell& cell, std::vector<NameStep>& closed);
  void push_names(const Trie& trie, const NameStep& at, const ObjectSpec& spec,
                  std::vector<NameStep>& next) const;
  void add_tokens(const uint32_t* begin, const uint32_t* end);
  void add_set(const TokenSet& set);
  void walk_unknown(TrieId trie, const Thread& thread);
  void find_suspects(const Threads& threads, std::vector<uint32_t>& suspects);
  bool allows(const Threads& threads, uint32_t token);
  bool first_visit(TrieId trie, const Thread& thread);
  void mark_names(const Thread& thread, uint64_t* mask);
  void mark_live(const Thread& thread, uint64_t* mask);

  void keep_best(Biases& biases) const;
  void weigh(TrieId trie, const Thread& thread, float base, Biases& out);
  void weigh_lexeme(TrieId trie, const Thread& thread, float base, Biases& out);
  void weigh_key(TrieId trie, const Thread& thread, float base, Biases& out);
  void weigh_names(TrieId trie, const Thread& thread, float base, Biases& out);
  void weigh_named(TrieId trie, const NameStep& at, CellId cell, float start, Biases& out);
  void weigh_unnamed(TrieId trie, const Thread& thread, float base, float unlisted, Biases& out);
  bool is_between_members(const Thread& thread) const;
  void weigh_all(TrieId trie, const Thread& thread, float base, Biases& out);
  void weigh_after(TrieId rest, const Threads& after, float base, Biases& out);
  std::vector<size_t> followers(const Threads& threads, size_t complete);
  std::vector<float> settled(const Threads& threads);
  std::vector<uint64_t> reach(TrieId trie, const Thread& thread);
  void fill_from(TrieId trie, const Threads& threads, uint64_t* mask);

  Machine& machine_;
  Tables& tables_;
  uint64_t* mask_ = nullptr;
  bool blank_ = true;                // nothing has been written yet
  bool listable_ = true;
  std::vector<uint32_t> listed_;
  std::vector<Visit> visits_;
  std::vector<uint32_t> spent_;      // tokens after which no name of the key is left
  std::vector<uint32_t> uncertain_;  // tokens to be checked byte by byte
};

}  // namespace constrain
