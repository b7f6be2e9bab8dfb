// A prefix tree over bytes whose nodes carry token ids, laid flat in depth-first order.
//
// Used for the whole vocabulary and for every set of token remainders (what is left of a token
// after a lexeme has ended inside it). A subtree is the index range [node, end(node)), and its
// tokens are contiguous, so that a subtree can be skipped or taken whole. Node 0 is the root,
// the empty text.
#pragma once

#include <string_view>
#include <vector>

#include "core.h"

namespace constrain {

class Trie {
 public:
  struct Entry {
    std::string_view text;
    uint32_t token;
  };

  // Entries need not be sorted; equal texts share a node.
  explicit Trie(std::vector<Entry> entries);
  // The subtree of `node` as a tree of its own.
  Trie(const Trie& from, uint32_t node);

  uint32_t size() const { return static_cast<uint32_t>(byte_.size()); }
  uint8_t byte(uint32_t node) const { return byte_[node]; }
  uint32_t end(uint32_t node) const { return end_[node]; }
  uint32_t depth(uint32_t node) const { return depth_[node]; }
  // Tokens that end at the node.
  const uint32_t* tokens_begin(uint32_t node) const { return tokens_.data() + first_[node]; }
  const uint32_t* tokens_end(uint32_t node) const { return tokens_.data() + first_[node + 1]; }
  // Tokens that end in its subtree, the node included.
  const uint32_t* subtree_end(uint32_t node) const { return tokens_.data() + first_[end_[node]]; }
  // Children in byte order.
  const uint32_t* children_begin(uint32_t node) const {
    return children_.data() + child_first_[node];
  }
  const uint32_t* children_end(uint32_t node) const {
    return children_.data() + child_first_[node + 1];
  }
  uint32_t child(uint32_t node, uint8_t byte) const;  // kNone if there is none
  const std::vector<uint32_t>& tokens() const { return tokens_; }
  uint64_t bytes() const {
    return byte_.size() * (1 + 4 * 5) + tokens_.size() * 4 +
           subtree_bytes_.size() * sizeof(ByteSet);
  }

  // For the vocabulary: which bytes occur below each node (to skip subtrees whole).
  void record_subtree_bytes();
  bool has_subtree_bytes() const { return !subtree_bytes_.empty(); }
  const ByteSet& subtree_bytes(uint32_t node) const { return subtree_bytes_[node]; }

 private:
  void index_children();

  std::vector<uint8_t> byte_;
  std::vector<uint32_t> end_, depth_;
  std::vector<uint32_t> first_;  // size() + 1 offsets into tokens_
  std::vector<uint32_t> tokens_;
  std::vector<uint32_t> child_first_, children_;
  std::vector<ByteSet> subtree_bytes_;
};

}  // namespace constrain
