// JSON values as `uniqueItems` compares them, and reading one byte by byte.
//
// Equality is JSON Schema's: numbers by their mathematical value, strings after decoding, objects
// without regard to the order of their keys. Values are hash-consed bottom up, so equal values
// have equal ids: a scalar by its canonical text, an array by the ids of its items, an object by
// the sorted ids of its members. What was read of a value is hash-consed in the same way (the
// open containers as a chain, then the text of the scalar begun), without white space: readings
// that can only become the same values are mostly the same reading.
//
// Cost: a byte of a scalar is one look-up; closing a container is linear in its members.
#pragma once

#include <string>
#include <vector>

#include "core.h"
#include "escape.h"

namespace constrain {

using ItemId = uint32_t;    // a JSON value
using ItemSet = uint32_t;   // a set of them

struct Prefix {  // text as a chain of bytes
  uint32_t parent = 0;
  uint32_t byte = 0;
  bool operator==(const Prefix& o) const { return parent == o.parent && byte == o.byte; }
  uint64_t hash() const { return mix(parent, byte); }
};

// What was read of one value.
struct Reading {
  enum Mode : uint32_t { kBetween, kString, kBare, kDone };  // kBare: number, true, false, null
  uint32_t mode = kBetween;
  uint32_t frame = 0;   // innermost open container; 0: none
  uint32_t text = 0;    // kString, kBare: prefix; kDone: the value
  uint32_t length = 0;  // bytes of the text
  uint32_t escape = 0;  // kString: state of escape.h
  bool operator==(const Reading& o) const = default;
  uint64_t hash() const {
    return mix(mix(uint64_t{mode} << 32 | frame, uint64_t{text} << 32 | length), escape);
  }
};

class JsonValues {
 public:
  explicit JsonValues(Interner<Prefix>& prefixes);

  static constexpr ItemSet kNoItems = 0;

  void read(Reading& at, uint8_t byte);
  ItemId read_all(const std::string& text);  // a whole value
  // The value read, if the text is a whole one; kNone else.
  ItemId value_of(const Reading& at);
  // Can the text become the value? Never wrongly false.
  bool may_become(const Reading& at, ItemId value) const;
  // Was a zero read, and an exponent begun, which changes nothing?
  bool is_zero_with_exponent(const Reading& at) const;
  // The bytes after which it still can; never too few.
  ByteSet bytes_towards(const Reading& at, ItemId value) const;

  // Sets, sorted by id.
  const uint32_t* begin(ItemSet set) const { return sets_.begin(set); }
  const uint32_t* end(ItemSet set) const { return sets_.end(set); }
  size_t count(ItemSet set) const { return sets_.length(set); }
  bool contains(ItemSet set, ItemId value) const;
  ItemSet insert(ItemSet set, ItemId value);
  ItemSet make_set(std::vector<ItemId> values);

  // The same things in another arena (compaction). `moved` remembers values.
  ItemId move_value(ItemId value, JsonValues& to, std::vector<uint32_t>& moved) const;
  ItemSet move_set(ItemSet set, JsonValues& to, std::vector<uint32_t>& moved) const;
  Reading move_reading(const Reading& at, JsonValues& to, std::vector<uint32_t>& moved) const;

  uint64_t bytes() const {
    return values_.bytes() + frames_.bytes() + lists_.bytes() + sets_.bytes();
  }

 private:
  enum Kind : uint32_t { kScalar, kArray, kObject };
  struct Frame {  // an open container
    uint32_t parent = 0;
    uint32_t kind = kArray;
    uint32_t members = 0;   // list: items, or keys and values by key
    uint32_t key = kNone;   // kObject: the key whose value is being read
    bool operator==(const Frame& o) const = default;
    uint64_t hash() const {
      return mix(uint64_t{parent} << 32 | kind, uint64_t{members} << 32 | key);
    }
  };
  // Where a reading stands within a value it may become.
  struct Place {
    ItemId value = kNone;      // what the scalar begun, or to come, must be
    bool anywhere = false;     // between the members of a container: nothing is known
    const Frame* keys = nullptr;  // a key of `value` that is not yet in this object
  };

  void append(Reading& at, uint8_t byte);
  void read_in_string(Reading& at, uint8_t byte);
  void add(Reading& at, ItemId value);
  void close(Reading& at);
  ItemId scalar(const std::string& text);
  std::string text_of(const Reading& at) const;
  bool locate(const Reading& at, ItemId value, Place& place) const;
  bool enter(const Frame& frame, bool goes_on, Place& place) const;
  bool is_key_left(const Frame& frame, ItemId key) const;
  bool is_scalar(ItemId value) const { return *values_.begin(value) == kScalar; }
  bool begins_with(ItemId value, const Reading& at) const;
  bool bare_may_become(const Reading& at, ItemId value) const;
  void add_scalar_bytes(const Reading& at, ItemId value, ByteSet& set) const;
  using Words = std::vector<uint32_t>::iterator;
  static void move_members(Words begin, Words end, bool is_object,
                           const std::vector<uint32_t>& moved);
  void move_all(std::vector<ItemId> pending, JsonValues& to, std::vector<uint32_t>& moved) const;

  Interner<Prefix>& prefixes_;
  SpanInterner values_;  // kind, then bytes, items, or keys and values
  Interner<Frame> frames_;
  SpanInterner lists_;
  SpanInterner sets_;
};

// --- numbers (json_numbers.cpp)

// JSON's spelling of a number -> digits without zeros at either end, and the exponent of the
// last one: "-1.50" -> "-15e-1", "0.0e7" -> "0".
std::string canonical_number(const std::string& text);
// Can a spelling that begins with `text` have the value `canonical`? Never wrongly false.
bool number_may_become(const std::string& text, const std::string& canonical);

}  // namespace constrain
