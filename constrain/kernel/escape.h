// JSON string escapes (RFC 8259, section 7), decoded byte by byte.
//
// A state says how much of an escape has been read; it fits in 30 bits so that it can be part
// of a hash-consed key. Two users: quoted expressions (quoted.cpp) and object keys (keys.cpp).
#pragma once

#include <vector>

#include "core.h"

namespace constrain {

struct CodeRange {
  uint32_t lo, hi;
};

// UTF-8 of one scalar value; returns the number of bytes written.
int encode_utf8(uint32_t code, uint8_t out[4]);
// The scalar value at byte `at` of valid UTF-8; moves `at` behind it.
uint32_t decode_utf8(const std::string& text, size_t& at);

enum class EscapeMode : uint8_t {
  kMinimal,  // only what JSON demands: quotation mark, reverse solidus, U+0000 to U+001F
  kAny,      // every escape RFC 8259 allows, except lone surrogates
};

struct EscapeStep {
  enum Outcome { kDead, kPending, kChar } outcome;
  uint32_t value;  // the next state (kPending) or the decoded scalar value (kChar)
};

inline constexpr uint32_t kNoEscape = 0;         // between characters
inline constexpr uint32_t kAfterBackslash = 1;  // a reverse solidus has been read

// One more byte in the middle of an escape. `state` is not kNoEscape.
EscapeStep escape_step(uint32_t state, uint8_t byte, EscapeMode mode);

// Bytes still to come of an escape that becomes `code`, one of those it can still become. A short
// form counts where its letter is in `alphabet`.
uint32_t escape_rest(uint32_t state, uint32_t code, const ByteSet& alphabet);

// The scalar values that the escape can still become, using only bytes of `alphabet`.
std::vector<CodeRange> escape_reach(uint32_t state, EscapeMode mode, const ByteSet& alphabet);

// Bytes of the shortest JSON spelling of an ASCII character.
uint32_t ascii_length(uint8_t b, const ByteSet& alphabet);

// Bytes of the shortest JSON spelling of UTF-8 text from byte `from` on, without quotes.
// Characters that have a byte outside `alphabet` are escaped; kInfinite if `from` is inside one.
uint32_t spelled_length(const std::string& text, size_t from, const ByteSet& alphabet);

// The same, when the spelling of the next character has begun: `escape` has been read of it.
// kInfinite if it cannot become that character.
uint32_t spelled_length(const std::string& text, size_t from, uint32_t escape, EscapeMode mode,
                        const ByteSet& alphabet);

}  // namespace constrain
