#include "escape.h"

namespace constrain {

namespace {

// Layout of a state: kind (4 bits), hex digits read (4), their value (12), high surrogate (10).
enum EscapeKind : uint32_t { kBackslash = 1, kHex, kLowBackslash, kLowU, kLowHex };

constexpr uint32_t make(uint32_t kind, uint32_t n_digits = 0, uint32_t value = 0,
                        uint32_t high = 0) {
  return kind | n_digits << 4 | value << 8 | high << 20;
}

int hex_value(uint8_t b) {
  if (b >= '0' && b <= '9') return b - '0';
  if (b >= 'a' && b <= 'f') return b - 'a' + 10;
  if (b >= 'A' && b <= 'F') return b - 'A' + 10;
  return -1;
}

bool must_escape(uint32_t code) { return code < 0x20 || code == '"' || code == '\\'; }

// All characters of `\X` escapes except `\u`, and what they stand for.
constexpr struct {
  uint8_t letter;
  uint32_t code;
} kShort[] = {{'"', '"'}, {'\\', '\\'}, {'/', '/'},  {'b', 8},
              {'f', 12},  {'n', 10},    {'r', 13}, {'t', 9}};

EscapeStep accept_char(uint32_t code, EscapeMode mode) {
  if (mode == EscapeMode::kMinimal && !must_escape(code)) return {EscapeStep::kDead, 0};
  return {EscapeStep::kChar, code};
}

EscapeStep first_hex_done(uint32_t code, EscapeMode mode) {
  if (code >= 0xDC00 && code <= 0xDFFF) return {EscapeStep::kDead, 0};
  if (code >= 0xD800 && code <= 0xDBFF) {
    if (mode == EscapeMode::kMinimal) return {EscapeStep::kDead, 0};
    return {EscapeStep::kPending, make(kLowBackslash, 0, 0, code - 0xD800)};
  }
  return accept_char(code, mode);
}

}  // namespace

int encode_utf8(uint32_t code, uint8_t out[4]) {
  if (code < 0x80) {
    out[0] = static_cast<uint8_t>(code);
    return 1;
  }
  const int n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (int i = n - 1; i > 0; --i, code >>= 6) out[i] = static_cast<uint8_t>(0x80 | (code & 0x3F));
  static constexpr uint8_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  out[0] = static_cast<uint8_t>(kLead[n] | code);
  return n;
}

uint32_t decode_utf8(const std::string& text, size_t& at) {
  const auto lead = static_cast<uint8_t>(text[at]);
  const int n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  uint32_t code = n == 1 ? lead : lead & (0xFFu >> (n + 1));
  for (int k = 1; k < n && at + static_cast<size_t>(k) < text.size(); ++k)
    code = code << 6 | (static_cast<uint8_t>(text[at + static_cast<size_t>(k)]) & 0x3F);
  at += static_cast<size_t>(n);
  return code;
}

EscapeStep escape_step(uint32_t state, uint8_t byte, EscapeMode mode) {
  const uint32_t kind = state & 15, n_digits = (state >> 4) & 15;
  const uint32_t value = (state >> 8) & 0xFFF, high = state >> 20;
  switch (kind) {
    case kBackslash:
      for (const auto& s : kShort)
        if (s.letter == byte) return accept_char(s.code, mode);
      if (byte == 'u') return {EscapeStep::kPending, make(kHex)};
      break;
    case kHex:
    case kLowHex: {
      const int digit = hex_value(byte);
      if (digit < 0) break;
      const uint32_t read = value << 4 | static_cast<uint32_t>(digit);
      if (n_digits < 3) return {EscapeStep::kPending, make(kind, n_digits + 1, read, high)};
      if (kind == kHex) return first_hex_done(read, mode);
      if (read < 0xDC00 || read > 0xDFFF) break;
      return {EscapeStep::kChar, 0x10000 + (high << 10) + (read - 0xDC00)};
    }
    case kLowBackslash:
      if (byte == '\\') return {EscapeStep::kPending, make(kLowU, 0, 0, high)};
      break;
    case kLowU:
      if (byte == 'u') return {EscapeStep::kPending, make(kLowHex, 0, 0, high)};
      break;
    default:
      break;
  }
  return {EscapeStep::kDead, 0};
}

uint32_t escape_rest(uint32_t state, uint32_t code, const ByteSet& alphabet) {
  const uint32_t n_digits = (state >> 4) & 15;
  const uint32_t low_half = code < 0x10000 ? 0 : 6;  // \uXXXX of the low surrogate
  switch (state & 15) {
    case kBackslash:
      for (const auto& s : kShort)
        if (s.code == code && alphabet.has(s.letter)) return 1;
      return 5 + low_half;
    case kHex:
      return 4 - n_digits + low_half;
    case kLowBackslash:
      return 6;
    case kLowU:
      return 5;
    default:
      return 4 - n_digits;
  }
}

namespace {

bool all_hex(const ByteSet& alphabet) {
  for (int d = 0; d < 16; ++d) {
    const bool lower = alphabet.has(static_cast<uint8_t>("0123456789abcdef"[d]));
    if (!lower && !alphabet.has(static_cast<uint8_t>("0123456789ABCDEF"[d]))) return false;
  }
  return true;
}

void clip(std::vector<CodeRange>& out, uint32_t lo, uint32_t hi, uint32_t min, uint32_t max) {
  if (std::max(lo, min) <= std::min(hi, max)) out.push_back({std::max(lo, min), std::min(hi, max)});
}

// With every digit at hand, `n_digits` digits read leave one interval of 16-bit values.
std::vector<CodeRange> reach_by_interval(uint32_t state) {
  const uint32_t kind = state & 15, n_digits = (state >> 4) & 15;
  const uint32_t value = (state >> 8) & 0xFFF, high = state >> 20;
  std::vector<CodeRange> out;
  const uint32_t width = 4 * (4 - n_digits);
  const uint32_t lo = value << width, hi = lo + (1u << width) - 1;
  const uint32_t base = 0x10000 + (high << 10);
  if (kind == kHex) {
    clip(out, lo, hi, 0, 0xD7FF);
    clip(out, lo, hi, 0xE000, 0xFFFF);
    std::vector<CodeRange> surrogates;
    clip(surrogates, lo, hi, 0xD800, 0xDBFF);
    for (const CodeRange r : surrogates)
      out.push_back({0x10000 + ((r.lo - 0xD800) << 10), 0x10000 + ((r.hi - 0xD800) << 10) + 0x3FF});
  } else if (kind == kLowHex) {
    std::vector<CodeRange> low;
    clip(low, lo, hi, 0xDC00, 0xDFFF);
    for (const CodeRange r : low) out.push_back({base + r.lo - 0xDC00, base + r.hi - 0xDC00});
  } else {
    out.push_back({base, base + 0x3FF});
  }
  return out;
}

}  // namespace

std::vector<CodeRange> escape_reach(uint32_t state, EscapeMode mode, const ByteSet& alphabet) {
  const uint32_t kind = state & 15;
  if (mode == EscapeMode::kAny && all_hex(alphabet) && alphabet.has('u')) {
    if (kind == kBackslash) return {{0, 0xD7FF}, {0xE000, 0x10FFFF}};
    if (kind == kHex || kind == kLowHex || alphabet.has('\\')) return reach_by_interval(state);
    return {};
  }
  // Few escapes are possible: try every byte that could continue one.
  std::vector<CodeRange> out;
  std::vector<uint32_t> pending{state};
  while (!pending.empty()) {
    const uint32_t at = pending.back();
    pending.pop_back();
    for (unsigned b = 0x20; b < 0x7F; ++b) {
      if (!alphabet.has(static_cast<uint8_t>(b))) continue;
      const EscapeStep step = escape_step(at, static_cast<uint8_t>(b), mode);
      if (step.outcome == EscapeStep::kChar) out.push_back({step.value, step.value});
      if (step.outcome != EscapeStep::kPending) continue;
      // In minimal mode a code above U+00FF cannot come out: do not walk its digits.
      const uint32_t n = (step.value >> 4) & 15, value = (step.value >> 8) & 0xFFF;
      if (mode == EscapeMode::kMinimal && n >= 1 && n <= 2 && value != 0) continue;
      pending.push_back(step.value);
    }
  }
  std::sort(out.begin(), out.end(), [](CodeRange a, CodeRange b) { return a.lo < b.lo; });
  std::vector<CodeRange> merged;
  for (const CodeRange r : out) {
    if (!merged.empty() && r.lo <= merged.back().hi + 1)
      merged.back().hi = std::max(merged.back().hi, r.hi);
    else
      merged.push_back(r);
  }
  return merged;
}

uint32_t ascii_length(uint8_t b, const ByteSet& alphabet) {
  if (b == '"' || b == '\\') return 2;
  if (b >= 8 && b <= 13 && b != 11)
    return alphabet.has(static_cast<uint8_t>("btn?fr"[b - 8])) ? 2 : 6;
  return must_escape(b) || !alphabet.has(b) ? 6 : 1;
}

uint32_t spelled_length(const std::string& text, size_t from, const ByteSet& alphabet) {
  uint32_t length = 0;
  for (size_t i = from, n; i < text.size(); i += n) {
    const auto b = static_cast<uint8_t>(text[i]);
    n = 1;
    if (b < 0x80) {
      length += ascii_length(b, alphabet);
      continue;
    }
    bool is_raw = alphabet.has(b);
    for (; i + n < text.size() && (static_cast<uint8_t>(text[i + n]) & 0xC0) == 0x80; ++n)
      is_raw = is_raw && alphabet.has(static_cast<uint8_t>(text[i + n]));
    if (!is_raw && b < 0xC0) return kInfinite;
    length += is_raw ? static_cast<uint32_t>(n) : n == 4 ? 12 : 6;
  }
  return length;
}

uint32_t spelled_length(const std::string& text, size_t from, uint32_t escape, EscapeMode mode,
                        const ByteSet& alphabet) {
  if (escape == kNoEscape) return spelled_length(text, from, alphabet);
  if (from >= text.size()) return kInfinite;
  // Breadth first over the bytes an escape may hold, at most 11 levels.
  std::vector<uint32_t> level{escape};
  for (uint32_t n_read = 1; !level.empty(); ++n_read) {
    std::vector<uint32_t> next;
    for (const uint32_t state : level) {
      for (const char* c = "\"\\/bfnrtu0123456789acdeABCDEF"; *c; ++c) {
        if (!alphabet.has(static_cast<uint8_t>(*c))) continue;
        const EscapeStep step = escape_step(state, static_cast<uint8_t>(*c), mode);
        uint8_t utf8[4];
        if (step.outcome == EscapeStep::kPending) next.push_back(step.value);
        if (step.outcome != EscapeStep::kChar) continue;
        const int n = encode_utf8(step.value, utf8);
        if (text.compare(from, static_cast<size_t>(n), reinterpret_cast<const char*>(utf8),
                         static_cast<size_t>(n)) == 0)
          return add_length(n_read, spelled_length(text, from + static_cast<size_t>(n), alphabet));
      }
    }
    // Only prefixes that still spell this character are worth keeping.
    size_t at = from;
    const uint32_t code = decode_utf8(text, at);
    std::erase_if(next, [&](uint32_t state) {
      for (const CodeRange r : reach_by_interval(state))
        if ((state & 15) == kBackslash || (r.lo <= code && code <= r.hi)) return false;
      return true;
    });
    level.swap(next);
  }
  return kInfinite;
}

}  // namespace constrain
