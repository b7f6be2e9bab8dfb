// Hash-consed regular expressions over bytes, and the automaton of their derivatives.
//
// An expression is an automaton state: its derivative by a byte is the next state, computed
// once for each class of bytes that no part of the expression tells apart (Brzozowski 1964;
// Owens, Reppy, Turon 2009). Union, intersection and complement are nodes like any other, so
// `allOf` of two patterns or `not` of one need no construction. Counted repetition is a node
// with two numbers: `{0,65536}` costs nothing until it is walked.
//
// A lexeme's end is a *tag*: Tag(t) matches the empty text and says which of several lexemes
// ended. Tag 0 is the plain empty text (epsilon). Tags stand only at the end of concatenations,
// never below an intersection, a complement, a repetition or a quoted string.
//
// Cost: a transition that has been taken before is two loads; a new one is linear in the parts
// of the expression that can move. All states live as long as the pool.
#pragma once

#include <chrono>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core.h"
#include "escape.h"

namespace constrain {

using ExprId = uint32_t;

enum class ExprKind : uint8_t {
  kEmpty,     // matches nothing
  kTag,       // a: tag; matches the empty text
  kBytes,     // a: byte set; one byte
  kConcat,    // a then b
  kOr,        // a: span of expressions
  kAnd,       // a: span of expressions
  kNot,       // a; complement over all byte strings
  kRepeat,    // a, b to c times (c may be kInfinite)
  kLiterals,  // a: list; literals [b, c) of it from their byte d on
  kQuoted,    // a: expression over decoded text, b: escape state, c: mode; up to and with '"'
  kMultiple,  // a: divisor; b: remainder (low word), c: (high word), d: what was read (see below)
};

// What a kMultiple has read: nothing, digits, or a point with d - kPointRead places left after it.
constexpr uint32_t kDigitRead = 1, kPointRead = 2;

struct Expr {
  ExprKind kind;
  uint32_t a = 0, b = 0, c = 0, d = 0;
  bool operator==(const Expr& o) const {
    return kind == o.kind && a == o.a && b == o.b && c == o.c && d == o.d;
  }
  uint64_t hash() const {
    return mix(mix(uint64_t{a} << 32 | b, uint64_t{c} << 32 | d), static_cast<uint64_t>(kind));
  }
};

// What is known of an expression when it is made.
struct ExprFacts {
  uint64_t tags = 0;        // bit t: the empty text is accepted with tag t
  uint32_t min_len = 0;     // bytes of the shortest match; a lower bound if !exact_length
  uint32_t min_plain = 0;   // the same without bytes that a JSON string must escape
  uint32_t max_len = 0;     // bytes that no match exceeds; kInfinite: none known
  uint32_t depth = 0;       // recursion that taking a derivative needs
  uint32_t chain = 0;       // length of the concatenation it heads
  bool searched = false;    // holds an intersection or complement: emptiness needs a search
  bool exact_length = true; // min_len is exact
  bool tagged = false;      // holds a tag other than 0
  bool stuck = false;       // accepts here, and no byte can follow
  bool weighted = false;    // holds weighted literals, alone or as alternatives
};

// Which characters can be written at all. kText: as themselves. kMinimal/kAny: inside a JSON
// string with that escape mode.
enum class Universe : uint8_t { kText, kMinimal, kAny };

class ExprPool {
 public:
  // `alphabet`: the bytes that occur in some token; characters that need others do not exist.
  explicit ExprPool(const ByteSet& alphabet);

  static constexpr ExprId kEmptyExpr = 0;
  static constexpr ExprId kEpsilon = 1;

  // --- constructors (simplifying; all return canonical ids)
  ExprId tag(uint32_t t);
  ExprId bytes(const ByteSet& set);
  ExprId concat(ExprId a, ExprId b);
  ExprId alternatives(std::vector<ExprId> parts);
  ExprId intersection(std::vector<ExprId> parts);
  ExprId negation(ExprId a);
  ExprId repeat(ExprId a, uint32_t min, uint32_t max);
  ExprId literals(std::vector<std::string> texts, Universe universe);
  // Literals with log-space weights, each text once. They stay a list of their own, which may be
  // one of several alternatives and have text before it; every other text weighs 0.
  ExprId weighted(std::vector<std::pair<std::string, float>> texts);
  bool is_weighted(ExprId e) const { return facts_[e].weighted; }
  // What closes an empty array stands beside its first item, and is no choice among its texts.
  static constexpr uint32_t kCloseTag = 4;
  bool only_closes(ExprId e) const;                 // is it one text that ends with that tag?
  float best_weight(ExprId e) const;                // of the texts still possible
  float own_weight(ExprId e, uint32_t tag) const;   // of the best that is complete with `tag`
  bool can_spell(const std::string& text, Universe universe) const;
  // Digits whose value is a multiple of `divisor`; with `places`, digits with a point anywhere
  // after the first, whose value times 10^places is one (so only zeros follow those places).
  ExprId multiple(uint64_t divisor, uint32_t places);
  ExprId chars(const std::vector<CodeRange>& ranges, Universe universe);
  ExprId any_text(Universe universe);                  // every text of the universe
  ExprId complement(ExprId a, Universe universe);      // every other text of the universe
  ExprId quoted_rest(ExprId inner, EscapeMode mode);   // JSON string after its opening quote
  ExprId quoted(ExprId inner, EscapeMode mode);        // with its opening quote

  bool is_any_text(ExprId e) const {
    return e == any_text_[0] || e == any_text_[1] || e == any_text_[2];
  }
  // All texts of an expression if they are at most `few` (and found in a bounded search).
  bool enumerate(ExprId e, size_t few, std::vector<std::string>& texts);
  // Lengths of the `n` shortest texts as written inside a JSON string, ascending (fewer if there
  // are fewer, or if a bounded search finds no more).
  std::vector<uint32_t> shortest_texts(ExprId e, size_t n);

  // More than any array has items (unique_counts.cpp)? Texts; values of JSON texts, where text
  // may precede that holds no digit.
  bool has_plenty_texts(ExprId e);
  bool has_plenty(ExprId e);

  // --- the automaton
  ExprId next(ExprId e, uint8_t byte) {  // kEmptyExpr: nothing can follow
    const Row& row = rows_[e];
    if (row.targets != kNone) {
      const ExprId known = targets_[row.targets + class_maps_[row.classes].of[byte]];
      if (known != kNone && alive_[known]) return alive_[known] == 1 ? known : kEmptyExpr;
    }
    return first_next(e, byte);
  }
  uint64_t tags(ExprId e) const { return facts_[e].tags; }
  // Nothing but the end is left: no byte can follow.
  bool is_final(ExprId e);
  bool is_alive(ExprId e);
  // Bytes of the shortest match ending in `tag`; kInfinite if there is none.
  uint32_t min_length(ExprId e, uint32_t tag);
  // --- spelled inside a JSON string (spelled.cpp)
  // Of decoded text: bytes of the shortest spelling. A character that has begun goes on as it
  // began: as its own bytes, or as an escape.
  uint32_t spelled_min(ExprId text, bool escaped = false);
  // What one byte of decoded text costs in a character that is escaped or not; kInfinite: it
  // cannot be written so.
  uint32_t spelled_cost(uint8_t byte, bool escaped) const;
  // Is there a character that only an escape can write?
  bool lacks_characters() const { return lacks_characters_; }
  // Bytes to and with the closing mark where an escape of the next character has begun that is
  // none of `except` (ascending).
  uint32_t escaped_min(ExprId text, uint32_t escape, EscapeMode mode,
                       const std::vector<uint32_t>& except);
  // escape_reach, kept.
  const std::vector<CodeRange>& reach_of(uint32_t escape, EscapeMode mode);
  // The decoded text that other keys of class `tag` go on with; kEmptyExpr: none does.
  ExprId quoted_text(ExprId keys, uint32_t tag) const;
  // The bytes that may come next.
  const ByteSet& first_bytes(ExprId e);
  // The bytes that lead back to the same state (a subtree of them stays inside).
  const ByteSet& self_loop(ExprId e);

  // One character of a set, made by chars(): no match is the beginning of another.
  bool is_character(ExprId e) const { return characters_.contains(e); }
  // Does every text begin some match of `e`, whatever has been read? So it is where a pattern
  // may be found anywhere: any text, then the pattern.
  bool takes_any_beginning(ExprId e);
  // `e` without a limit on its number of characters (`limit`: that number), or `e` itself.
  ExprId without_limit(ExprId e, uint32_t& limit);
  // The same with counts rounded so that the language is larger (`up`) or smaller (widen.cpp).
  ExprId rounded(ExprId e, bool up);
  const Expr& node(ExprId e) const { return nodes_[e]; }
  const ExprFacts& facts(ExprId e) const { return facts_[e]; }
  const ByteSet& alphabet() const { return alphabet_; }
  uint32_t size() const { return nodes_.size(); }
  uint64_t memory() const;

  // Begin work for a grammar that may still make `n_left` expressions.
  void set_limits(const Limits& limits, uint64_t n_left);
  // Until `clear_deadline`, work beyond limits.seconds raises.
  void set_deadline();
  void clear_deadline() { has_deadline_ = false; }

 private:
  struct Row {
    uint32_t classes = kNone;  // id of a class map
    uint32_t targets = kNone;  // offset into targets_
  };
  struct ClassMap {
    uint8_t of[256];
    bool operator==(const ClassMap& o) const { return !std::memcmp(of, o.of, 256); }
    uint64_t hash() const;
    uint32_t count() const;
  };
  struct SearchKey {
    uint32_t expr, tag;
    bool operator==(const SearchKey& o) const { return expr == o.expr && tag == o.tag; }
  };
  struct SearchHash {
    size_t operator()(const SearchKey& k) const { return mix(k.expr, k.tag); }
  };
  struct LiteralList {
    std::vector<std::string> texts;
    std::vector<float> weights;  // empty, or one for each text
  };

  ExprId make(const Expr& e);
  ExprFacts derive_facts(const Expr& e);
  ExprFacts concat_facts(const Expr& e) const;
  ExprFacts list_facts(const Expr& e) const;
  ExprFacts repeat_facts(const Expr& e) const;
  ExprFacts literal_facts(const Expr& e) const;
  ExprId first_next(ExprId e, uint8_t byte);
  ExprId raw_next(ExprId e, uint8_t byte);
  ExprId derive(ExprId e, uint8_t byte);
  ExprId derive_list(ExprId e, uint8_t byte);
  ExprId derive_literals(const Expr& e, uint8_t byte);
  ExprId derive_quoted(const Expr& e, uint8_t byte);
  ExprId derive_multiple(const Expr& e, uint8_t byte);
  ExprId rounded_repeat(const Expr& e, bool up);
  ExprId make_quoted(ExprId inner, uint32_t escape, EscapeMode mode);
  bool reaches(ExprId inner, uint32_t escape, EscapeMode mode);
  struct Spelling {
    ByteSet raw;
    std::vector<CodeRange> escaped;
  };
  ExprId chars_of(const std::vector<CodeRange>& ranges, const ByteSet& spellable);
  Spelling spelling_of(Universe universe) const;
  void flatten(std::vector<ExprId>& parts, ExprKind kind) const;
  void merge_byte_sets(std::vector<ExprId>& parts, bool unite);
  void merge_repeats(std::vector<ExprId>& parts);
  void drop_into_any_text(std::vector<ExprId>& parts) const;
  void drop_any_text(std::vector<ExprId>& parts) const;
  uint32_t multiple_length(const Expr& e) const;

  uint32_t class_map_of(ExprId e);
  uint32_t split_by(const ByteSet& set);
  uint32_t meet(uint32_t a, uint32_t b);
  uint32_t literal_classes(const Expr& e);
  uint32_t quoted_classes(const Expr& e);
  enum class Spelled : uint8_t { kNot, kRaw, kEscaped };
  uint32_t search(ExprId e, uint32_t tag, Spelled how);
  bool goes_on_raw(ExprId inner);
  bool descends(ExprId e);
  bool has_plenty_digits(ExprId e);
  struct CharacterWalk;
  uint32_t spelled_after(ExprId text, uint32_t lo, uint32_t hi);
  uint32_t cheapest_bytes(ExprId e, Spelled begun, bool escaped, uint32_t cost[256],
                          uint8_t byte[256]);
  void check_search(size_t n_states) const;
  void check_time() const;
  uint32_t structural_min(ExprId e, uint32_t tag);

  ByteSet alphabet_;
  bool lacks_characters_ = false;
  Spelling spellings_[3];  // by universe
  Interner<Expr> nodes_;
  std::vector<ExprFacts> facts_;
  std::vector<Row> rows_;
  std::vector<uint8_t> alive_;  // 0 unknown, 1 alive, 2 dead
  std::unordered_map<ExprId, bool> final_;  // for searched expressions that accept
  std::vector<ExprId> targets_;
  Interner<ByteSet> sets_;
  SpanInterner lists_;
  std::vector<LiteralList> literal_lists_;
  std::unordered_map<std::string, uint32_t> literal_ids_;
  struct Divisor {
    uint64_t value;
    uint32_t places;
    bool operator==(const Divisor&) const = default;
  };
  std::vector<Divisor> divisors_;
  Interner<ClassMap> class_maps_;
  std::vector<uint32_t> class_counts_;
  std::unordered_map<uint64_t, uint32_t> meets_;
  std::unordered_map<SearchKey, uint32_t, SearchHash> lengths_, spelled_, escaped_;
  std::unordered_map<ExprId, bool> goes_on_raw_;
  std::unordered_map<uint64_t, bool> reach_;
  std::unordered_map<uint64_t, std::vector<CodeRange>> escape_reach_;
  std::unordered_map<uint32_t, ByteSet> loops_, first_;
  std::unordered_map<ExprId, bool> plenty_;
  std::unordered_map<uint64_t, ExprId> rounded_;
  SpanInterner range_sets_;
  std::unordered_map<uint64_t, ExprId> chars_;  // (range set, universe) -> expression
  std::unordered_set<ExprId> characters_;
  ExprId any_text_[3] = {kNone, kNone, kNone};
  uint64_t max_size_ = 0;
  bool has_deadline_ = false;
  std::chrono::steady_clock::time_point started_;
  Limits limits_;
};

}  // namespace constrain
