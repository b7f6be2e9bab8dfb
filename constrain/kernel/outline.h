// Wishes: log-space biases for the shape of a JSON text, and what of the text they depend on.
//
// A wish shifts the odds of ending against going on where both may be possible, and white space
// against none. All tokens that go on in a string or number at one step cost the same, however
// long they are: a wish never makes a model spell a text in smaller pieces.
//
// The grammar's own states do not count characters or items that no bound asks for, so an
// outline follows the text beside them, by JSON's words alone: what it reads is what the grammar
// has allowed. Cost: constant for each byte, only in grammars with wishes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core.h"
#include "inline_vector.h"

namespace constrain {

// Natural logarithms; 0: no wish.
struct Wishes {
  float short_strings = 0.0f;  // a token that goes on in a string value that is not empty
  float short_arrays = 0.0f;   // a further item, times the items there are
  float short_numbers = 0.0f;  // a token that goes on in a number, times the digits there are
  float compact = 0.0f;        // a character of white space where none need be
  bool any() const {
    return short_strings != 0.0f || short_arrays != 0.0f || short_numbers != 0.0f ||
           compact != 0.0f;
  }
};

// The tokens that can be worth something, as bits.
struct ShapeTokens {
  explicit ShapeTokens(const std::vector<std::string>& tokens);
  std::vector<uint64_t> quotes;  // with a quotation mark
  std::vector<uint64_t> marks;   // with a quotation mark, white space or a comma
};

// Where the threads of a configuration stand, as far as an outline asks.
struct JsonPlace {
  const Wishes* wishes = nullptr;  // of the JSON text they are in; null: in none
  bool begun = false;              // has any of it been read?
  uint32_t min_items = 0;          // of the array that has just been opened
};

using Biases = std::vector<std::pair<uint32_t, float>>;  // tokens and what is added to them

class Outline {
 public:
  // Nothing read yet.
  explicit Outline(const JsonPlace& start) { place(start); }

  // One more byte, and where the threads stand after it.
  void follow(uint8_t byte, const JsonPlace& after);

  // What every token is worth here, but for those that `biases` lists.
  float offset() const;
  // Tokens of the mask that are worth more or less than the offset, ascending, and how much.
  void biases(const ShapeTokens& shapes, const std::vector<std::string>& tokens,
              const uint64_t* mask, Biases& out) const;

 private:
  // kBefore and kAfter: outside the outermost value, kBetween: inside, between scalars.
  enum class In : uint8_t { kNothing, kBefore, kAfter, kBetween, kString, kKey, kNumber, kWord };
  struct Open {  // an object or array
    bool is_array;
    bool expects_key;
    uint32_t n_items, min_items;
  };

  void place(const JsonPlace& place);
  float read(uint8_t byte);
  float read_between(uint8_t byte);
  void begin_value(In scalar);
  void end_value();
  bool in_text() const { return in_ == In::kString && !empty_; }
  float worth(const std::string& token) const;

  const Wishes* wishes_ = nullptr;
  In in_ = In::kNothing;
  bool empty_ = false;    // has nothing of the string been read?
  bool escaped_ = false;
  uint32_t n_digits_ = 0;
  InlineVector<Open, 6> open_;
};

}  // namespace constrain
