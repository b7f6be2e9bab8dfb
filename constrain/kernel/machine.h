// One step of the pushdown machine: what a lexeme's end, or a byte, does to a thread.
//
// A thread reads one lexeme; the cell below it says what follows. When the lexeme ends with a
// tag, the frame on top is asked (`finish`), and answers with the threads that go on. Frames of
// objects and arrays decide from counters and bits what may follow, so that a member, an item
// or a closing bracket is offered only where the rest can still be completed: no thread that
// this file makes is ever a dead end (over the bytes of the vocabulary).
//
// Nothing here recurses on the input: closures run over a work list.
#pragma once

#include <queue>

#include "arena.h"
#include "program.h"

namespace constrain {

class Machine {
 public:
  Machine(Program& program, Arena& arena, const Limits& limits)
      : program_(program), pool_(program.pool), arena_(arena), limits_(limits) {
    for (const ArraySpec& a : program.arrays) has_unique_ |= a.unique;
  }

  void start(Threads& out);                             // threads at the very beginning
  void step(const Thread& thread, uint8_t byte, Threads& out);
  void step(const Threads& threads, uint8_t byte, Threads& out);
  void finish(CellId cell, uint32_t tag, Threads& out); // the lexeme on `cell` ended
  // The same, whether or not the items being read can still be new (unique.cpp).
  void step_unchecked(const Thread& thread, uint8_t byte, Threads& out);
  void close_key(const Key& key, CellId cell, Threads& out);  // its quotation mark was read

  // --- keys (keys.cpp)
  // One more byte of a key, not the closing quotation mark; false: no key goes on like this.
  bool step_key(Key& key, const Cell& cell, uint8_t byte);
  // The same for the names alone (not prefix, not other), for walking token trees; false: the
  // byte cannot stand in a key here.
  bool step_name(Key& key, const ObjectSpec& spec, uint8_t byte) const;
  bool names_alive(const Key& key, const Cell& cell) const;  // may a declared name come out?
  bool may_go_on(const Key& key, const Cell& cell) const;    // a declared or a fresh other one?
  // Threads after an other key of class `tag` whose name is left open.
  void close_unnamed(CellId cell, uint32_t tag, Threads& out);
  bool may_use(const ObjectSpec& spec, const uint32_t* state, uint32_t property) const;
  bool may_use_any(const ObjectSpec& spec, const uint32_t* state, uint32_t lo, uint32_t hi) const;
  bool may_use_other(const ObjectSpec& spec, uint32_t object, const uint32_t* state) const;

  JsonPlace json_place(const Threads& threads);  // for outlines (json_place.cpp)

  // --- weights of optional properties (key_weights.cpp)
  // The sum of the weights above 0 that may still come.
  float weight_left(const Cell& cell) const;
  // The greatest weight to come with a key that goes on like this, before it is known.
  float weight_ahead(const Key& key, const Cell& cell) const;
  float weight_ahead(const Cell& cell) const;  // any key
  // The same before or after a member, where white space may have decided what comes next.
  float weight_between(const Cell& cell, ExprId state) const;
  // The same once the key has ended; `property` kNone: an other key.
  float weight_with(const Cell& cell, uint32_t property) const;

  // --- items of unique arrays (unique.cpp)
  Thread untracked(const Thread& thread) const;     // what a tracked thread reads
  bool any_live(const Thread& thread) const;        // may an item become a forbidden value?
  bool has_read(const Thread& thread) const;        // ... and some of it is there
  ByteSet bytes_towards_used(const Thread& thread) const;
  bool has_fresh(const Thread& thread);             // can all its items be new?
  // Did the last step_unchecked end an item that could have become a forbidden value?
  bool ended_live() const { return ended_live_; }
  // The threads with what was read of unique items forgotten, where any item has plenty of
  // values: the same for all texts (unique_mask.cpp).
  Threads forgotten(const Threads& threads);
  bool has_unique() const { return has_unique_; }
  bool is_forgettable(const Thread& thread) { return forgotten_cell(thread.cell) != kNone; }
  // Inside items that are unlike all others, in arrays that need no further one?
  bool is_settled_item(const Thread& thread);
  // --- items that the shortest completion is not to depend on (unique_within.cpp)
  bool make_unlike(Threads& threads, uint32_t n_bytes);
  void collect_items(const Threads& threads, std::vector<ItemId>& items) const;
  Thread with_forbidden(const Thread& thread, const std::vector<ItemId>& items);
  // Does the thread begin a further item of an array whose items are forgotten?
  bool begins_unknown(const Thread& thread) const;
  // Lengths of items that min_items demands; true if there are such arrays (unique_counts.cpp).
  bool count_unique();

  // --- shortest completions (lengths.cpp)
  uint32_t potential(const Thread& thread);
  uint32_t potential(const Threads& threads);
  ByteSet first_bytes(const Thread& thread);
  ByteSet key_first_bytes(const Key& key, CellId cell);
  ByteSet likely_bytes(const Thread& thread, uint32_t left);
  // Without texts that the shortest completion does not depend on (key_names.cpp).
  Thread without_names(const Thread& thread);
  Thread with_any_name(const Thread& thread, bool matters);
  bool is_in_new_key(const Thread& thread) const;
  Thread with_unlike_name(const Thread& thread, uint32_t n_bytes);
  Thread with_used(const Thread& thread, const std::vector<std::string>& names);

  Program& program() { return program_; }
  Arena& arena() { return arena_; }
  const Limits& limits() const { return limits_; }

 private:
  struct Task {
    enum Kind : uint8_t { kStart, kComplete, kFinish, kAdd } kind;
    uint32_t x, y;  // node, cell | cell | cell, tag | expression, cell
    uint32_t level;
    bool operator==(const Task& o) const {
      return kind == o.kind && x == o.x && y == o.y && level == o.level;
    }
  };
  // The work of one closure.
  struct Closure {
    Threads& out;
    std::vector<Task>&pending, &done;
    uint32_t level = 0;  // of the task at hand: the items of unique arrays it is in
    void push(Task::Kind kind, uint32_t x, uint32_t y);
  };
  Closure closure(Threads& out);  // closures do not nest: they share their work lists
  void run(Closure& work);
  void start_node(uint32_t node, CellId parent, Closure& work);
  void complete(CellId cell, Closure& work);
  void finish_tag(CellId cell, uint32_t tag, Closure& work);
  void finish_object(const Cell& cell, CellId id, uint32_t tag, Closure& work);
  void finish_array(const Cell& cell, CellId id, uint32_t tag, Closure& work);
  void open_cases(CellId cell, uint32_t value, uint32_t tag, Closure& work);
  void read_value(const Cell& frame, uint32_t value, ValuePlace place, Closure& work);
  void after_member(const Cell& cell, Closure& work);
  void after_item(Cell cell, CellId id, Closure& work);
  void emit(uint32_t lexeme, CellId cell, Closure& work);
  // --- items of unique arrays (unique.cpp)
  void step_tracked(const Thread& thread, uint8_t byte, Threads& out);
  void open_item(CellId cell, Closure& work);
  bool end_item(Cell& cell, CellId id, Closure& work);
  bool has_more(const Cell& cell);
  uint32_t advance(uint32_t level, uint8_t byte);
  uint32_t make_level(Level level);
  ItemSet forbidden(const Cell& cell);
  bool can_choose(const ArraySpec& spec, uint32_t array, uint32_t first, ItemSet used);
  const std::vector<std::vector<ItemId>>& few_values(uint32_t array);
  void drop_dead(Threads& out, uint32_t first);
  bool spells_alike(const Thread& thread);
  bool search_fresh(const Thread& start);
  CellId forgotten_cell(CellId cell);
  bool is_more_certain(const Cell& cell) const;
  // Texts of the `n` shortest different values; fewer: there are no more.
  void shortest_values(uint32_t value, uint32_t n, std::vector<std::string>& texts);
  std::vector<uint32_t> string_lengths(const Value& value, uint32_t n);
  void count_items(uint32_t array);
  uint32_t tracked_potential(const Thread& thread);
  bool descends(const Thread& start, uint32_t bound);
  void open_key(const Cell& cell, Closure& work);
  CellId make_cell(const Cell& cell);
  uint32_t done_length(const Cell& cell) const;
  uint32_t initial_state(const ObjectSpec& spec);
  uint32_t state_after(const ObjectSpec& spec, const uint32_t* state, uint32_t property,
                       uint32_t used_names, uint32_t settles = 0);
  uint32_t members_rest(const ObjectSpec& spec, const uint32_t* state) const;
  uint32_t rest_after(const ObjectSpec& spec, const uint32_t* state, uint32_t property,
                      bool takes_short = false) const;
  uint32_t after_key(const ObjectSpec& spec, const uint32_t* state, uint32_t property) const;
  uint32_t after_other_key(const ObjectSpec& spec, const uint32_t* state, uint32_t tag,
                           bool takes_short) const;
  uint32_t extras_cost(const ObjectSpec& spec, const uint32_t* state, const uint32_t* counts,
                       uint32_t except, uint32_t n_new, bool takes_short) const;
  bool fits(const ObjectSpec& spec, const uint32_t* state, uint32_t property) const;
  bool has_bits(const ObjectSpec& spec) const;
  Key open_other(const ObjectSpec& spec, uint32_t object, const uint32_t* state) const;
  bool has_fresh_name(const Key& key, const ObjectSpec& spec) const;
  void begin_value(Cell cell, uint32_t value, Threads& out);
  bool seen(const ObjectSpec& spec, const uint32_t* state, uint32_t property) const;
  bool can_close(const ObjectSpec& spec, const uint32_t* state) const;
  bool can_continue(const ObjectSpec& spec, uint32_t object, const uint32_t* state) const;
  uint32_t name_depth(const ObjectSpec& spec, uint32_t name) const;
  bool escape_spells(const ObjectSpec& spec, uint32_t property, uint32_t depth,
                     uint32_t escape) const;
  bool name_reaches(const ObjectSpec& spec, const uint32_t* state, uint32_t name,
                    uint32_t escape) const;
  // --- objects with demands (member_plans.cpp)
  const MemberPlan& plan(const ObjectSpec& spec, const uint32_t* state) const;
  MemberPlan make_plan(const ObjectSpec& spec, const Members& now, uint32_t missing) const;
  std::pair<uint64_t, uint32_t> ways_on(const ObjectSpec& spec, const std::vector<Way>& ways,
                                        const Members& now, uint32_t property) const;
  Members members_of(const ObjectSpec& spec, const uint32_t* state) const;
  ExprId other_keys(const ObjectSpec& spec, const uint32_t* state) const;
  // A thread for each way to read the value of a property (kNone: of an other key of a class).
  void begin_ways(Cell cell, uint32_t property, uint32_t tag, uint32_t used, Threads& out);
  // --- arrays with tallies (tallies.cpp)
  std::vector<uint32_t> tally_words(const Cell& cell) const;
  uint32_t tallied_rest(uint32_t array, const std::vector<uint32_t>& words) const;
  void read_tallied(const Cell& cell, ValuePlace place, Closure& work);
  bool may_add_tallied(const Cell& cell) const;
  void open_tallied(uint32_t array, CellId parent, Closure& work);
  void after_tallied(const Cell& cell, Closure& work);
  uint32_t tallied_item_cost(const Cell& cell) const;
  uint32_t tag_cost(CellId id, uint32_t tag) const;
  uint32_t member_cost(const ObjectSpec& spec, uint32_t object, const uint32_t* state) const;
  uint32_t key_potential(const Key& key, const Cell& cell) const;
  uint32_t other_distance(const Key& key, const ObjectSpec& spec, uint32_t tag) const;
  // --- other keys that have begun (key_lengths.cpp)
  struct Beginning;
  bool begin_with(Beginning& at, const ObjectSpec& spec, uint8_t byte, uint32_t cost) const;
  void push_nearer(const Beginning& at, const ObjectSpec& spec, bool escaped,
                   std::priority_queue<Beginning>& queue, uint32_t& least) const;
  bool goes_on_with(const Beginning& at, const ObjectSpec& spec, uint8_t byte) const;
  std::vector<uint32_t> name_characters(uint32_t name, uint32_t used,
                                        const ObjectSpec& spec) const;
  uint32_t nearest_fresh(std::vector<Beginning> starts, const ObjectSpec& spec,
                         uint32_t known) const;
  Key new_key(const Cell& cell) const;
  bool needs_no_other_key(const Cell& cell, uint32_t n_more) const;
  Thread with_name(const Thread& thread, uint32_t n_bytes);
  CellId without_names_below(CellId id);
  uint32_t nameless(const Cell& cell);
  void advance_name(Key& key, const ObjectSpec& spec, uint8_t byte) const;

  Program& program_;
  ExprPool& pool_;
  Arena& arena_;
  const Limits& limits_;
  std::vector<Task> pending_, done_;
  bool has_unique_ = false;
  bool ended_live_ = false;
  uint32_t searches_ = 0;  // searches inside one another
  std::unordered_map<uint32_t, std::vector<std::vector<ItemId>>> few_values_;
};

}  // namespace constrain
