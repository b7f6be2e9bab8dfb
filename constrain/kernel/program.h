// A grammar as the kernel sees it: nodes, JSON values and their objects and arrays.
//
// Built once by the lowering in Python, then completed (`finish`): shortest lengths, emptiness,
// pruning of what can never match. After that it does not change, except for expressions that
// are made on first use.
#pragma once

#include <string>
#include <vector>

#include "expr.h"
#include "outline.h"

namespace constrain {

// What a lexeme may end as. Frames (machine.cpp) decide what follows.
enum LexemeTag : uint32_t {
  kTagScalar = 0,  // a scalar value, or the end of any lexeme outside JSON
  kTagObject,      // '{'
  kTagArray,       // '['
  kTagComma,
  kTagClose,
  kTagQuote,       // the quotation mark that opens a key
};
static_assert(kTagClose == ExprPool::kCloseTag);

enum class NodeKind : uint8_t { kLexeme, kSequence, kChoice, kRepeat, kRule, kValue };

struct GrammarNode {
  NodeKind kind = NodeKind::kLexeme;
  ExprId expr = ExprPool::kEmptyExpr;   // kLexeme
  std::vector<uint32_t> children;       // kSequence, kChoice, kRepeat, kRule (its body)
  uint32_t min = 0, max = 0;            // kRepeat
  uint32_t value = kNone;               // kValue
  uint32_t min_len = kInfinite;
  std::vector<uint32_t> rest;           // kSequence: shortest length from child i on
};

// Where a value stands decides the white space before it.
enum ValuePlace : uint32_t { kPlaceTop, kPlaceFirst, kPlaceComma, kPlaceColon, kPlaceCount };

// White space and the structural lexemes that are made of it.
struct Form {
  EscapeMode escapes = EscapeMode::kMinimal;
  bool any_order = false;
  ExprId before[kPlaceCount];                      // what precedes a value
  ExprId first_both, first_key, first_close;       // after '{'
  ExprId next_key;                                 // after ',' in an object
  ExprId after_both, after_comma, after_close;     // after a member
  ExprId item_both, item_comma, item_close;        // after an item
  ExprId empty_array;                              // ']' right after '['
  ExprId trailing;                                 // after the whole text
  uint32_t colon_len, comma_len;  // shortest lengths, white space included
  // Of the closing brackets; infinite if either bracket cannot be written.
  uint32_t object_close_len, array_close_len;
  bool can_separate;  // can a comma and what must follow it be written?
  Wishes wishes;
};

struct Value {
  uint32_t form = 0;
  ExprId scalar = ExprPool::kEmptyExpr;
  std::vector<uint32_t> objects, arrays;
  ExprId start[kPlaceCount] = {kNone, kNone, kNone, kNone};
  uint32_t min_len = kInfinite;  // without what precedes it
};

// One way to read a member or an item of a frame with demands.
struct Way {
  uint32_t value = 0;
  uint32_t settles = 0;  // the demands it settles, or the tallies it counts for, as bits
};
// In place of the bits: the only way to read an item once every tally has its minimum.
inline constexpr uint32_t kWhenFull = 1u << 31;

struct PropertySpec {
  std::string name;      // decoded, UTF-8
  uint32_t value = 0;
  std::vector<Way> ways = {};  // where the object has demands: first the value itself
  uint32_t absent = 0;         // demands that are settled if the key never comes
  uint32_t order = 0;    // position in the schema
  bool required = false;
  bool possible = true;  // false: the key may not occur
  bool floating = false; // one of a few other keys: after the declared ones, in any order
  float weight = 0.0f;   // of including it (log space); 0 for required ones
  uint32_t key_len = 0;  // shortest spelling with both quotation marks
  uint32_t cost = kInfinite;  // key, colon and shortest value
};

// Prefix tree of the declared names, flat; names below a node are [lo, hi) of the sorted list.
struct NameTree {
  struct Node {
    uint32_t first_child, n_children, lo, hi;
    uint8_t byte;
    bool terminal;  // names[lo] ends here
  };
  std::vector<Node> nodes;
  uint32_t child(uint32_t node, uint8_t byte) const;
};

struct ObjectSpec {
  uint32_t form = 0;
  std::vector<PropertySpec> properties;  // sorted by name
  std::vector<uint32_t> by_order;        // schema position -> index in properties
  std::vector<uint32_t> next_required;   // schema position -> next required one at or after it
  std::vector<uint32_t> rest_required;   // ... -> cost of all required ones from it on
  NameTree names;
  bool names_need_escapes = false;
  struct OtherKeys {
    ExprId key;      // over decoded text
    uint32_t value;
    std::vector<Way> ways = {};
    std::vector<uint32_t> lengths = {};  // of its shortest keys, where keys may run out
    uint32_t cost = kInfinite;           // shortest key and its colon
  };
  // A demand is settled by a member read in a way that settles it, by the absence of a key, or
  // at the end by a number of members under `under` or over `over`. All must be settled.
  struct Demand {
    uint32_t under = 0, over = kInfinite;
  };
  std::vector<Demand> demands;
  bool bounds_count = false;   // with demands: does the number of members matter?
  uint32_t saturation = 0;     // counts above this are alike
  std::vector<OtherKeys> others;         // disjoint classes of other keys
  ExprId other = ExprPool::kEmptyExpr;   // one, after its opening mark; tag = index of the class
  std::vector<ExprId> by_class;          // with demands: its alternatives
  bool may_run_out = false;  // names that begin in some way may all be used up
  uint32_t additional_cost = kInfinite;  // shortest other key, colon and shortest value
  std::vector<uint32_t> other_costs;     // ... of the shortest ones, where keys may run out
  uint32_t n_declared = 0;               // properties that are not floating
  bool weighted = false;                 // has any a weight?
  std::vector<uint32_t> cheapest;  // optional properties by cost
  std::vector<uint32_t> optional_after;  // schema position -> possible optional ones from it on
  uint32_t min_properties = 0, max_properties = kInfinite;
  uint32_t n_required = 0;
  uint32_t required_cost = 0;  // all required members with a comma each
  uint32_t min_len = kInfinite;
};

struct ArraySpec {
  uint32_t form = 0;
  // How many items must be of a kind: between min and max at the end, unless the array has under
  // `under` or over `over` items.
  struct Tally {
    uint32_t min = 0, max = kInfinite, under = 0, over = kInfinite;
  };
  std::vector<Tally> tallies;
  std::vector<std::vector<Way>> ways;  // with tallies: by position, the last for all later ones
  std::vector<uint32_t> prefix;
  uint32_t items = kNone;
  uint32_t min_items = 0, max_items = kInfinite;
  bool unique = false;      // no two items are equal
  // What unique_counts.cpp finds out, for unique arrays: for each item that min_items demands a
  // length that can always be kept (none: min_items is below 2), and all values of those items
  // that have fewer than min_items.
  std::vector<uint32_t> costs = {};
  std::vector<std::vector<std::string>> few = {};
  uint32_t saturation = 0;  // item counts above this are alike
  ExprId first = kNone;     // lexeme after '['
  uint32_t min_len = kInfinite;
  std::vector<uint32_t> rest_min;  // count of items -> shortest length of those still needed
};

// What of an object's state decides which members it still needs.
struct Members {
  uint32_t count = 0, position = 0;
  uint32_t settled = 0;                  // demands
  const uint32_t* seen = nullptr;        // bits by property; null: none was seen
  uint32_t n_used = 0;                   // other keys
  bool short_taken = false;              // is the shortest other key gone?
};

class Program {
 public:
  Program(ExprPool& pool, const Limits& limits) : pool(pool), limits(limits) {}

  uint32_t add_form(const std::string& whitespace, bool any_order, EscapeMode escapes,
                    const Wishes& wishes);
  uint32_t add_value(uint32_t form);  // filled by set_value, so that values may be recursive
  uint32_t add_object(ObjectSpec spec);
  uint32_t add_array(ArraySpec spec);
  uint32_t add_node(GrammarNode node);

  // Shortest lengths by least fixed point, then pruning. Call when all is added, and again when
  // lengths of unique items have become known.
  void finish(uint32_t root);
  // Has the value more different texts than any array will have items? (unique_counts.cpp)
  bool has_plenty(uint32_t value) const { return plenty_[value]; }

  uint32_t value_of_item(const ArraySpec& spec, uint32_t index) const;  // kNone: no such item
  ExprId start(uint32_t value, ValuePlace place);
  ExprId array_first(uint32_t array);
  // Shortest length of the items still needed when `count` are there, commas included.
  uint32_t items_rest(const ArraySpec& spec, uint32_t count) const;

  uint32_t cheapest_members(const ObjectSpec& spec, const std::vector<uint32_t>& optional,
                            uint32_t n, uint32_t n_taken) const;
  // The member with the n-th shortest other key (from 0): a bound that can always be kept, exact
  // for free-form keys.
  uint32_t other_cost(const ObjectSpec& spec, uint32_t n) const;
  // How much longer the n-th shortest other key (from 0) of a class is than the shortest.
  uint32_t key_growth(const ObjectSpec& spec, const ObjectSpec::OtherKeys& other,
                      uint32_t n) const;
  // How many of the shortest other keys may be taken: by declared names, and by `n_used` members.
  static uint32_t keys_taken(const ObjectSpec& spec, uint32_t n_used, bool short_taken);

  // Shortest length of the members still needed, commas included, where there are demands
  // (demands.cpp); kInfinite: they cannot all be settled any more.
  uint32_t demanded_rest(const ObjectSpec& spec, const Members& members) const;
  // May the property not come any more (or has it come)?
  bool passed(const ObjectSpec& spec, const Members& members, uint32_t property) const;
  // Demands settled by the declared keys that are skipped when the next one stands at `to`.
  uint32_t settled_by_skipping(const ObjectSpec& spec, uint32_t from, uint32_t to) const;
  // The same for arrays with tallies: `words` is the number of items, then the tallies.
  uint32_t tallied_rest(const ArraySpec& spec, const std::vector<uint32_t>& words) const;
  bool may_end_tallied(const ArraySpec& spec, const uint32_t* words) const;
  // One more item read in a way; false: some tally is over its maximum.
  bool tally(const ArraySpec& spec, const Way& way, std::vector<uint32_t>& words) const;
  std::vector<Way> ways_of_item(const ArraySpec& spec, const std::vector<uint32_t>& words) const;

  ExprPool& pool;
  const Limits& limits;
  std::vector<Form> forms;
  std::vector<Value> values;
  std::vector<ObjectSpec> objects;
  std::vector<ArraySpec> arrays;
  std::vector<GrammarNode> nodes;
  uint32_t root = kNone;
  bool weighted = false;  // is any choice weighted?
  bool has_wishes = false;

 private:
  uint32_t place_len(uint32_t form, ValuePlace place) const;
  bool update_value(Value& value);
  bool update_object(ObjectSpec& spec);
  void update_others(ObjectSpec& spec);
  bool update_array(ArraySpec& spec);
  void prepare_demands(ObjectSpec& spec) const;
  bool update_node(GrammarNode& node);
  void prune(Value& value);
  void complete_object(ObjectSpec& spec);
  bool update_tallied(ArraySpec& spec);
  static void complete_array(ArraySpec& spec);
  void reset_lengths();
  void find_plenty();
  bool object_has_plenty(const ObjectSpec& spec) const;
  bool array_has_plenty(const ArraySpec& spec) const;
  std::vector<uint32_t> usable_children(uint32_t value) const;

  std::vector<bool> plenty_;
};

}  // namespace constrain
