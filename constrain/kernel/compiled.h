// What is shared: the engine of a vocabulary, and a compiled grammar on it.
#pragma once

#include <memory>
#include <optional>
#include <unordered_set>

#include "mask.h"

namespace constrain {

// Everything that depends on the vocabulary alone; grammars on one vocabulary share it.
struct Engine {
  // `tokens`: bytes by id (ignored for control ids); end and control ids never match text.
  Engine(std::vector<std::string> tokens, std::vector<uint32_t> end_ids,
         std::vector<uint32_t> control_ids);
  Engine(const Engine&) = delete;

  uint32_t n_vocab;
  std::vector<uint32_t> end_ids;
  std::unordered_set<uint32_t> end_set;
  uint32_t longest_token;  // bytes
  // The tokens that wishes look at, made when first asked for.
  const ShapeTokens& shapes();
  // Every byte that occurs in a token is a token: what bytes can finish, tokens can.
  bool complete;
  ExprPool pool;
  Tables tables;
  uint64_t table_limit = uint64_t{512} << 20;

  uint64_t memory() const { return pool.memory() + tables.memory(); }

  // New expressions count for the grammar that is being worked for.
  void enter(class Compiled& grammar);
  class Compiled* active = nullptr;
  uint32_t active_since = 0;  // size of the pool when it became active

 private:
  std::unique_ptr<ShapeTokens> shapes_;
};

class Matcher;

// A grammar on a vocabulary: the program and the arena that its matchers share.
class Compiled {
 public:
  Compiled(std::shared_ptr<Engine> engine, const Limits& limits);
  Compiled(const Compiled&) = delete;
  ~Compiled();

  void finish(uint32_t root);  // completes the program; before it, `program` is being built
  ConfigId start_config();
  Outline start_outline();  // for grammars with wishes

  // --- configurations
  // `outline`, if given, follows the text.
  bool step(ConfigId config, const std::string& bytes, ConfigId& out, size_t& n_read,
            Outline* outline = nullptr);
  bool accepts_end(ConfigId config) const;
  bool can_continue(ConfigId config) const;
  Threads threads(ConfigId config) const;
  void fill_mask(ConfigId config, uint64_t* mask);
  // Only tokens after which `n_tokens` more suffice to finish (within.cpp).
  void fill_mask_within(ConfigId config, uint32_t n_tokens, uint64_t* mask);
  // Allowed tokens with a bias, ascending. `outline`: of the text, in grammars with wishes.
  void biases(ConfigId config, const Outline* outline, Biases& out);
  ByteSet first_bytes(ConfigId config);
  std::string forced_bytes(ConfigId config);
  // Is a token allowed that begins with `text` and is longer?
  bool allows_past(ConfigId config, const std::string& text);
  // Readable names of declared keys that may come (or go on) here; true: other keys may too.
  bool expected_keys(ConfigId config, std::vector<std::string>& names);

  // --- finishing (finishing.cpp)
  uint32_t potential(ConfigId config);
  std::string shortest_completion(ConfigId config);
  // Tokens that suffice to finish: those of the shortest text, as few as it can be cut into.
  uint32_t tokens_needed(ConfigId config);
  // Do `n_tokens` suffice to finish? Cheap where bytes alone tell.
  bool fits(ConfigId config, uint32_t n_tokens);
  // Can the text be finished with whole tokens of this vocabulary?
  bool spellable(ConfigId config);

  uint64_t memory() const { return arena_->memory(); }
  void relieve();  // compacts the arena and drops tables when they pass their limits

  std::shared_ptr<Engine> engine;
  Limits limits;
  Program program;
  std::unordered_set<Matcher*> matchers;  // live ones: what compaction keeps
  uint64_t n_expressions = 0;             // made for this grammar so far

 private:
  void memoize(ConfigId config, const uint64_t* mask);
  void make_arena();
  bool recall(ConfigId config, uint64_t* mask) const;
  void text_mask(ConfigId config, uint64_t* mask);
  void keep_spellable(ConfigId config, uint64_t* mask);
  const std::vector<uint32_t>& shared_mask(ConfigId config, const Threads& plain,
                                           uint64_t* mask);
  ConfigId without_text(ConfigId config);
  Onward onward(ConfigId config);
  void check_distance(ConfigId config);
  bool leads_on(const Threads& best, uint32_t left, uint8_t byte, Onward& found);
  uint32_t fewest_tokens(ConfigId config);
  uint32_t search_tokens(ConfigId config);
  void compact();

  // --- masks within a budget (within.cpp)
  struct Budget {
    Threads at;
    uint32_t n_tokens;
    std::vector<uint64_t> open;  // allowed tokens that are not settled
    uint64_t* mask;              // those that fit
    std::vector<uint64_t> apart = {};
    bool is_tracked = false;     // are items of unique arrays being read?
  };
  // kOpen, kUnlike: it depends on what was read of items, of keys.
  enum class Verdict { kFits, kExceeds, kOpen, kUnlike };
  bool step_token(const Threads& from, uint32_t token, Threads& to);
  ConfigId unlike_after(const Budget& work, uint32_t token, uint32_t n_bytes);
  void settle_unlike(Budget& work, std::vector<uint64_t>& group);
  bool reads_unlike(const Threads& at) const;
  bool meets_unlike(ConfigId start);
  // --- new keys after which others are needed (within_names.cpp)
  using Names = std::vector<std::string>;
  ConfigId with_unlike_names(ConfigId config);
  Names names_ahead(ConfigId start);
  ConfigId representative(ConfigId config);
  bool may_become(ConfigId config, const Names& names) const;
  void settle_names(Budget& work, uint32_t token, std::vector<uint64_t>& group);
  Verdict verdict_closed(const Budget& work, uint32_t token, size_t end);
  void settle_closed(Budget& work);
  void settle_groups(Budget& work);
  void settle_each(Budget& work);
  bool find_parts(Budget& work, std::vector<LandingPart>& parts);
  ByteSet bytes_after(const Thread& thread);
  Verdict verdict(const Budget& work, uint32_t token);

  std::unique_ptr<Arena> arena_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Masker> masker_;
};

// One sequence: a configuration and the way it came there.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<Compiled> compiled);
  Matcher(const Matcher& other);
  Matcher& operator=(const Matcher&) = delete;
  ~Matcher();

  enum class Outcome { kOk, kRejected, kFinished };
  // kRejected: `n_read` bytes could stand here; nothing changes.
  Outcome accept(uint32_t token, size_t& n_read);
  Outcome accept_bytes(const std::string& bytes, size_t& n_read);
  void rollback(uint32_t n_steps);
  uint32_t n_steps() const { return static_cast<uint32_t>(ends_.size()); }
  ConfigId config() const { return config_; }
  bool is_finished() const { return finished_; }
  const Outline* outline() const { return outline_ ? &*outline_ : nullptr; }

  // For compaction: the configurations this matcher holds.
  static constexpr size_t kWindow = 64;  // steps that rollback undoes without replaying
  template <class F>
  void remap(F&& translate) {
    config_ = translate(config_);
    for (ConfigId& c : recent_) c = translate(c);
  }

  std::shared_ptr<Compiled> compiled;

 private:
  Outcome advance(const std::string& bytes, size_t& n_read);
  void push(ConfigId next, size_t n_bytes);

  ConfigId config_;
  bool finished_ = false;
  std::vector<ConfigId> recent_;  // configurations before the last steps
  std::optional<Outline> outline_;  // in grammars with wishes
  std::vector<Outline> outlines_;   // ... before the last steps
  std::string text_;              // all bytes accepted
  std::vector<size_t> ends_;      // text length before each step
};

}  // namespace constrain
