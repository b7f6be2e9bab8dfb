// The token-level automaton, as far as it has been visited: everything a matcher can be in.
//
// Stacks are immutable cells (frame, parent), object states, keys being spelled and sets of
// used names are immutable and hash-consed as well, and a configuration is a hash-consed set of
// threads (lexeme state, stack). So a matcher is one integer, copy and rollback cost nothing,
// and what was computed for a configuration is found again by its number.
//
// The arena only grows; when it passes its limit, the matcher's owner makes a new one from what
// the live matchers hold (compact.cpp).
#pragma once

#include <deque>
#include <unordered_map>
#include <vector>

#include "core.h"
#include "inline_vector.h"
#include "json_values.h"
#include "tables.h"

namespace constrain {

using CellId = uint32_t;
using ConfigId = uint32_t;

// What a thread is reading: an expression, or a key (kKeyBit | id), or nothing (kFinished), or
// one of these within an item of a unique array (kTrackBit | id).
inline constexpr uint32_t kKeyBit = 0x80000000u;
inline constexpr uint32_t kTrackBit = 0x40000000u;
inline constexpr uint32_t kFinished = 0x7FFFFFFFu;
inline bool is_tracked(uint32_t lexeme) {
  return (lexeme & (kKeyBit | kTrackBit)) == kTrackBit && lexeme != kFinished;
}

struct Thread {
  uint32_t lexeme;
  CellId cell;
  bool operator==(const Thread& o) const { return lexeme == o.lexeme && cell == o.cell; }
  bool operator<(const Thread& o) const {
    return cell != o.cell ? cell < o.cell : lexeme < o.lexeme;
  }
};
using Threads = InlineVector<Thread, 4>;

enum class FrameKind : uint8_t { kRoot, kSequence, kRepeat, kValue, kObject, kArray, kTallied };
enum class Phase : uint8_t { kFirst, kNext, kKey, kValue, kAfter };

struct Cell {
  FrameKind kind = FrameKind::kRoot;
  Phase phase = Phase::kFirst;
  uint32_t node = 0;   // program node, value, object or array
  uint32_t a = 0;      // kSequence: next child; kRepeat, kArray: count; kObject, kTallied: value
  uint32_t state = 0;  // kObject: object state; kTallied: number of items and tallies;
                       // kArray: set of its items, if they are unique
  CellId parent = 0;
  bool operator==(const Cell& o) const {
    return kind == o.kind && phase == o.phase && node == o.node && a == o.a &&
           state == o.state && parent == o.parent;
  }
  uint64_t hash() const {
    const auto head = static_cast<uint64_t>(kind) << 8 | static_cast<uint64_t>(phase);
    return mix(mix(head << 32 | node, uint64_t{a} << 32 | state), parent);
  }
};

struct CellFacts {
  uint32_t done = 0;   // bytes still needed once what stands on this cell is complete
  uint32_t depth = 0;  // cells below
};

// A key between its quotation marks.
struct Key {
  uint32_t name = kNone;    // node of the declared names' tree, kNone: off it
  uint32_t used = kNone;    // node of the tree of other keys already used, kNone: off it
  uint32_t prefix = 0;      // decoded text so far (only kept for other keys)
  uint32_t escape = 0;      // state of escape.h
  ExprId other = ExprPool::kEmptyExpr;  // state of the other-key expression
  uint32_t object = 0;      // object specification
  bool operator==(const Key& o) const {
    return name == o.name && used == o.used && prefix == o.prefix && escape == o.escape &&
           other == o.other && object == o.object;
  }
  uint64_t hash() const {
    return mix(mix(uint64_t{name} << 32 | used, uint64_t{prefix} << 32 | escape),
               uint64_t{other} << 32 | object);
  }
};

// An item of a unique array that is being read (unique.cpp), inside another one perhaps.
struct Level {
  Reading reading;
  ItemSet live = 0;      // forbidden values that the item may still become
  bool any_live = false; // here or further out
  CellId cell = 0;       // what the item stands on
  uint32_t outer = 0;    // 0: none
  bool operator==(const Level& o) const = default;
  uint64_t hash() const {
    return mix(mix(reading.hash(), uint64_t{live} << 32 | cell), uint64_t{outer} << 1 | any_live);
  }
};

struct Tracked {
  uint32_t lexeme = 0;  // expression or key
  uint32_t level = 0;
  bool operator==(const Tracked& o) const = default;
  uint64_t hash() const { return mix(lexeme, level); }
};

// States of unique arrays in masks that forget what was read (unique_mask.cpp).
inline constexpr ItemSet kAnyItems = 0xFFFFFFFEu;   // the items so far, and the one being read
inline constexpr ItemSet kMoreItems = 0xFFFFFFFDu;  // a further item begins in the same token
inline bool is_forgotten(ItemSet set) { return set >= kMoreItems; }

// Words of an object state: fixed ones, then one bit for each property (by name) that was seen.
enum ObjectWord : uint32_t {
  kCount, kPosition, kMissing, kRestCost, kUsedNames, kSettled, kSeen
};

// What may come next in an object with demands, by its state.
struct MemberPlan {
  bool is_made = false;                   // else a limit was reached while it was made
  uint32_t rest = kInfinite;              // shortest length of the members still needed
  bool may_close = false;
  std::vector<uint64_t> ways;             // by property: the ways that lead to an end, as bits
  std::vector<uint32_t> costs;            // ... shortest value and rest after it
  std::vector<uint64_t> other_ways;       // the same by class of other keys
  std::vector<uint32_t> other_costs;
  std::vector<uint32_t> short_costs;      // ... where the key is the shortest one there is
  uint64_t classes = 0;                   // classes with such a way, as bits
};

// A mask that holds for all texts of items, but for some tokens.
struct SharedMask {
  TokenSet set;
  std::vector<uint32_t> uncertain;
};

// One step of a shortest completion: its byte, and the configuration after it.
struct Onward {
  uint8_t byte;
  ConfigId config;
};

class Arena {
 public:
  Arena();

  CellId cell(const Cell& c, const CellFacts& facts);
  ConfigId config(Threads& threads);  // sorts and removes duplicates
  const Thread* begin(ConfigId id) const {
    return reinterpret_cast<const Thread*>(configs.begin(id));
  }
  const Thread* end(ConfigId id) const {
    return reinterpret_cast<const Thread*>(configs.end(id));
  }

  // Sets of used names: nodes are [terminal, byte, child, byte, child, ...], bytes ascending.
  uint32_t used_child(uint32_t node, uint8_t byte) const;
  bool used_terminal(uint32_t node) const { return node != kNone && used.begin(node)[0]; }
  uint32_t used_insert(uint32_t root, const std::string& name);  // a name that is not in it
  uint32_t used_size(uint32_t root) const;
  std::string prefix_text(uint32_t prefix) const;

  uint64_t memory() const;

  Interner<Cell> cells;
  std::vector<CellFacts> cell_facts;
  SpanInterner objects;  // object states
  Interner<Key> keys;
  Interner<Prefix> prefixes;
  SpanInterner used;
  std::unordered_map<uint32_t, uint32_t> used_sizes;  // by root, but for the empty set
  SpanInterner configs;
  JsonValues items{prefixes};
  Interner<Level> levels;
  Interner<Tracked> tracked;

  // What was computed for states of objects with demands, and of arrays with tallies.
  SpanInterner plan_keys, tally_keys;
  std::deque<MemberPlan> plans;
  std::vector<uint32_t> tally_rests;

  // What was computed for configurations.
  std::unordered_map<ConfigId, TokenSet> masks;
  uint64_t mask_bytes = 0;
  std::unordered_map<uint64_t, uint32_t> potentials;   // thread -> shortest completion
  std::unordered_map<ConfigId, Onward> onward;         // along the shortest completion
  std::unordered_map<ConfigId, uint32_t> needed;       // tokens that suffice to finish
  std::unordered_map<ConfigId, bool> spellable;        // can be completed with whole tokens
  std::unordered_map<uint64_t, bool> fresh;            // thread -> can its items be new?
  std::unordered_map<CellId, CellId> forgotten;        // cell -> without the items read
  std::unordered_map<CellId, CellId> nameless;         // cell -> without the names it can do without
  std::unordered_map<ConfigId, ConfigId> representatives;  // ... with a key unlike all others
  std::unordered_map<ConfigId, bool> meets_unlike;     // does the completion read what must differ?
  std::unordered_map<ConfigId, SharedMask> shared;     // without the items read
};

}  // namespace constrain
