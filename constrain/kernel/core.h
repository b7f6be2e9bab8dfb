// Small pieces every part of the kernel shares: byte sets, hashing, hash-consing, limits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace constrain {

inline constexpr uint32_t kNone = 0xFFFFFFFFu;      // "no such id", "not computed yet"
inline constexpr uint32_t kInfinite = 0x3FFFFFFFu;  // a length or count without bound

inline constexpr uint32_t kPlenty = 32'768;          // more values than an array has items

// Sum of two lengths that stays at kInfinite.
inline uint32_t add_length(uint32_t a, uint32_t b) { return std::min(a + b, kInfinite); }

// Product of a length and a repeat count that stays at kInfinite.
inline uint32_t mul_length(uint32_t a, uint32_t b) {
  const uint64_t product = uint64_t{a} * b;
  return product >= kInfinite ? kInfinite : static_cast<uint32_t>(product);
}

// A resource limit was reached; becomes LimitError in Python.
struct LimitExceeded : std::exception {
  LimitExceeded(const char* name, double given_, double limit_)
      : limit_name(name), given(given_), limit(limit_) {}
  const char* what() const noexcept override { return limit_name; }
  const char* limit_name;
  double given, limit;
};

// The grammar itself is at fault; becomes GrammarError in Python.
struct BadGrammar : std::exception {
  explicit BadGrammar(std::string reason_) : reason(std::move(reason_)) {}
  const char* what() const noexcept override { return reason.c_str(); }
  std::string reason;
};

// The fields of constrain.Limits that the kernel counts against.
struct Limits {
  uint64_t expressions = 2'000'000;
  uint32_t expression_depth = 2'000;
  uint64_t nodes = 1'000'000;
  uint32_t threads = 4'096;
  uint32_t depth = 100'000;
  uint64_t arena_bytes = 64u << 20;
  uint64_t search_states = 200'000;
  double seconds = 30.0;
};

inline uint64_t mix(uint64_t h, uint64_t v) {
  h ^= v + 0x9E3779B97F4A7C15ull + (h << 6) + (h >> 2);
  h *= 0xFF51AFD7ED558CCDull;
  return h ^ (h >> 32);
}

struct ByteSet {
  uint64_t w[4] = {0, 0, 0, 0};
  bool has(uint8_t b) const { return (w[b >> 6] >> (b & 63)) & 1; }
  void add(uint8_t b) { w[b >> 6] |= uint64_t{1} << (b & 63); }
  void add_range(unsigned lo, unsigned hi) {
    for (unsigned b = lo; b <= hi; ++b) add(static_cast<uint8_t>(b));
  }
  bool empty() const { return !(w[0] | w[1] | w[2] | w[3]); }
  bool operator==(const ByteSet& o) const { return !std::memcmp(w, o.w, sizeof w); }
  ByteSet operator&(const ByteSet& o) const {
    return {{w[0] & o.w[0], w[1] & o.w[1], w[2] & o.w[2], w[3] & o.w[3]}};
  }
  ByteSet operator|(const ByteSet& o) const {
    return {{w[0] | o.w[0], w[1] | o.w[1], w[2] | o.w[2], w[3] | o.w[3]}};
  }
  ByteSet operator~() const { return {{~w[0], ~w[1], ~w[2], ~w[3]}}; }
  bool subset_of(const ByteSet& o) const {
    return !((w[0] & ~o.w[0]) | (w[1] & ~o.w[1]) | (w[2] & ~o.w[2]) | (w[3] & ~o.w[3]));
  }
  uint64_t hash() const { return mix(mix(mix(mix(0, w[0]), w[1]), w[2]), w[3]); }
};

// Hash-consing: equal values get the same id. T needs hash() and operator==.
template <class T>
class Interner {
 public:
  uint32_t intern(const T& value) {
    if ((items_.size() + 1) * 2 > slots_.size()) grow();
    const uint64_t mask = slots_.size() - 1;
    for (uint64_t i = value.hash() & mask;; i = (i + 1) & mask) {
      if (slots_[i] == kNone) {
        slots_[i] = static_cast<uint32_t>(items_.size());
        items_.push_back(value);
        return slots_[i];
      }
      if (items_[slots_[i]] == value) return slots_[i];
    }
  }
  const T& operator[](uint32_t id) const { return items_[id]; }
  uint32_t size() const { return static_cast<uint32_t>(items_.size()); }
  uint64_t bytes() const { return items_.capacity() * sizeof(T) + slots_.size() * 4; }

 private:
  void grow() {
    slots_.assign(std::max<size_t>(16, slots_.size() * 2), kNone);
    const uint64_t mask = slots_.size() - 1;
    for (uint32_t id = 0; id < items_.size(); ++id) {
      uint64_t i = items_[id].hash() & mask;
      while (slots_[i] != kNone) i = (i + 1) & mask;
      slots_[i] = id;
    }
  }
  std::vector<T> items_;
  std::vector<uint32_t> slots_;
};

// Hash-consing of word sequences of any length; id -> [begin, end).
class SpanInterner {
 public:
  uint32_t intern(const uint32_t* data, size_t n) {
    if ((size() + 1) * 2 > slots_.size()) grow();
    const uint64_t mask = slots_.size() - 1;
    for (uint64_t i = hash(data, n) & mask;; i = (i + 1) & mask) {
      if (slots_[i] == kNone) {
        slots_[i] = size();
        words_.insert(words_.end(), data, data + n);
        ends_.push_back(words_.size());
        return slots_[i];
      }
      const uint32_t id = slots_[i];
      if (length(id) == n && std::equal(data, data + n, begin(id))) return id;
    }
  }
  const uint32_t* begin(uint32_t id) const { return words_.data() + (id ? ends_[id - 1] : 0); }
  const uint32_t* end(uint32_t id) const { return words_.data() + ends_[id]; }
  size_t length(uint32_t id) const { return static_cast<size_t>(end(id) - begin(id)); }
  uint32_t size() const { return static_cast<uint32_t>(ends_.size()); }
  uint64_t bytes() const {
    return words_.capacity() * 4 + ends_.capacity() * 8 + slots_.size() * 4;
  }

 private:
  static uint64_t hash(const uint32_t* data, size_t n) {
    uint64_t h = n;
    for (size_t i = 0; i < n; ++i) h = mix(h, data[i]);
    return h;
  }
  void grow() {
    slots_.assign(std::max<size_t>(16, slots_.size() * 2), kNone);
    const uint64_t mask = slots_.size() - 1;
    for (uint32_t id = 0; id < size(); ++id) {
      uint64_t i = hash(begin(id), length(id)) & mask;
      while (slots_[i] != kNone) i = (i + 1) & mask;
      slots_[i] = id;
    }
  }
  std::vector<uint32_t> words_;
  std::vector<uint64_t> ends_;
  std::vector<uint32_t> slots_;
};

}  // namespace constrain
