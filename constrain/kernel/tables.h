// Lexeme tables: the vocabulary split by the state of a lexeme, once, and shared by every
// grammar on this vocabulary.
//
// For a tree of token texts T and an expression q (see expr.h), the table holds
//   inside: the tokens of T after which q's lexeme can still be completed (or has just been),
//   exits:  for each tag, the tree of what remains of the tokens in which the lexeme ended
//           with that tag and the token went on.
// A mask is then a chain of look-ups: the table of (vocabulary, q), for each exit the grammar's
// continuation q', the table of (remainders, q'), and so on. No text is walked byte by byte, and
// since expressions are hash-consed, the tables of one schema are those of the next.
//
// Strings that differ only in how many characters may still come share one analysis: tokens are
// grouped by their length in characters (CountedString).
//
// Cost: a table of the whole vocabulary takes one walk over the tree, 2 to 3 ms for 128 000
// tokens when nearly all stay inside, less where subtrees are skipped.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "expr.h"
#include "trie.h"

namespace constrain {

using TrieId = uint32_t;

struct Exited {  // a token that went on after its lexeme ended
  uint32_t tag, token, rest;  // rest: bytes that remain
  auto operator<=>(const Exited&) const = default;
};

struct TokenSet {
  std::vector<uint64_t> words;  // a bitset, or empty
  std::vector<uint32_t> ids;    // a list, if the bitset is empty
  void add_to(uint64_t* mask) const;
  bool has(uint32_t token) const;
  uint64_t bytes() const { return words.capacity() * 8 + ids.capacity() * 4; }
};

struct LexemeTable {
  struct Exit {
    uint32_t tag;
    TrieId trie;
  };
  const TokenSet* inside = nullptr;
  std::vector<Exit> exits;
  bool has_exits = false;  // exits are computed when first asked for
  // After any token inside, at most so many bytes finish the lexeme (kInfinite: not known).
  uint32_t max_rest = kInfinite;
  std::vector<Exited> exited;  // for the vocabulary: what the exits were made of, sorted
};

// A lexeme that is read where groups of tokens are asked for (landings.cpp).
struct LandingPart {
  ExprId state;
  ByteSet after;         // the bytes that may follow once it has ended with tag 0
  bool is_open = false;  // what follows depends on its text: no token that ends it is in a group
};

class Tables {
 public:
  static constexpr TrieId kVocabulary = 0;

  // `tokens`: bytes by id; control and end tokens must be empty here. Empty ones never match.
  Tables(std::vector<std::string> tokens, ExprPool& pool);

  const LexemeTable& table(TrieId trie, ExprId q, bool want_exits);
  const Trie& trie(TrieId id) const { return *tries_[id]; }
  TrieId subtree(TrieId trie, uint32_t node);
  // Tokens of the vocabulary in groups: those of a group stay inside the lexemes, or end them
  // without going on, and bring them into the same states. Tokens outside may be in none.
  const std::vector<TokenSet>& landings(std::vector<LandingPart> parts);
  // The tokens in the order of the vocabulary's tree: the place of each.
  const std::vector<uint32_t>& places();

  uint32_t n_tokens() const { return static_cast<uint32_t>(tokens_.size()); }
  uint32_t n_words() const { return (n_tokens() + 63) / 64; }  // 64-bit words of a mask
  const std::string& token(uint32_t id) const { return tokens_[id]; }
  const std::vector<std::string>& tokens() const { return tokens_; }
  uint64_t memory() const { return memory_; }
  // Forget every table (they are a cache); ids of trees other than the vocabulary die.
  void clear();

 private:
  struct CountedString {
    struct Inside {
      uint32_t n_chars, token;
    };
    struct Crossing {
      uint32_t n_chars, token, rest;
    };
    std::vector<Inside> inside;      // sorted by n_chars
    std::vector<Crossing> crossing;  // past the closing quotation mark
    uint32_t max_inside = 0, max_crossing = 0;
    std::unordered_map<uint64_t, LexemeTable> tables;  // by (least, most) characters to come
  };
  // What two languages around a state disagree on.
  struct Between {
    std::vector<uint32_t> inside;
    std::vector<Exited> exits;
  };

  bool is_wide(ExprId q);
  const LexemeTable* unlimited(ExprId q);
  LexemeTable searching(ExprId q, CountedString& any);
  const LexemeTable& between(ExprId q, ExprId low, ExprId high);
  const Between& difference(ExprId low, ExprId high);
  LexemeTable settle(ExprId q, const LexemeTable& low, const Between& open);
  struct Walk;

  LexemeTable& general(TrieId trie, ExprId q, bool want_exits);
  const LexemeTable& counted(CountedString& family, uint32_t min, uint32_t max);
  CountedString& family_of(ExprId character, uint32_t mode);
  void walk(const Trie& trie, ExprId q, bool want_exits, Walk& out);
  void add_exits(const Trie& trie, uint32_t node, const Walk& walk, std::vector<Exited>& out);
  TokenSet packed(std::vector<uint32_t> ids);
  const TokenSet* make_set(std::vector<uint32_t> ids);
  struct LandingWalk;
  bool step_parts(LandingWalk& walk, uint32_t depth, uint8_t byte);
  bool stays(const LandingWalk& walk, uint32_t depth, uint32_t node);
  void walk_landings(LandingWalk& walk);
  ExprId shared_state(ExprId q, ExprId& counted);
  TrieId make_trie(const std::vector<Exited>& exits, uint32_t tag);
  std::string_view rest_of(uint32_t token, uint32_t rest) const {
    const std::string& text = tokens_[token];
    return std::string_view(text).substr(text.size() - rest);
  }

  std::vector<std::string> tokens_;
  ExprPool& pool_;
  std::vector<std::unique_ptr<Trie>> tries_;
  std::unordered_map<uint64_t, LexemeTable> tables_;
  std::vector<std::unique_ptr<TokenSet>> sets_;
  std::unordered_map<uint64_t, std::unique_ptr<CountedString>> families_;
  std::unordered_map<uint64_t, std::unique_ptr<Between>> differences_;
  std::unordered_map<uint64_t, TrieId> subtrees_;
  std::deque<std::vector<TokenSet>> landings_;
  SpanInterner landing_keys_;
  Interner<ByteSet> after_sets_;
  std::vector<uint32_t> places_;  // by token, once they are asked for
  uint32_t longest_ = 0;  // bytes of the longest token
  uint64_t memory_ = 0;
};

}  // namespace constrain
