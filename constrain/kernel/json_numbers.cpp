// Numbers of JSON text by their mathematical value, of any size.
#include "json_values.h"

namespace constrain {

namespace {

constexpr size_t kSmall = 17;  // digits of an exponent that surely fits

// A spelling, perhaps cut off, taken apart.
struct Spelling {
  bool negative = false;
  std::string digits;         // of the significand, without leading zeros
  int64_t n_fraction = 0;     // digits after the point
  bool has_exponent = false;  // 'e' was read
  bool exponent_negative = false;
  std::string exponent;       // its digits, without leading zeros
};

Spelling take_apart(const std::string& text) {
  Spelling s;
  bool point = false;
  for (const char c : text) {
    if (c == 'e' || c == 'E') {
      s.has_exponent = true;
    } else if (c == '.') {
      point = true;
    } else if (c == '-') {
      (s.has_exponent ? s.exponent_negative : s.negative) = true;
    } else if (c >= '0' && c <= '9') {
      std::string& digits = s.has_exponent ? s.exponent : s.digits;
      if (!digits.empty() || c != '0') digits.push_back(c);
      s.n_fraction += point && !s.has_exponent;
    }
  }
  return s;
}

size_t strip_zeros(std::string& digits) {
  const size_t kept = digits.find_last_not_of('0') + 1;
  const size_t n = digits.size() - kept;
  digits.resize(kept);
  return n;
}

int64_t small_exponent(const Spelling& s) {
  const int64_t value = s.exponent.empty() ? 0 : std::stoll(s.exponent);
  return s.exponent_negative ? -value : value;
}

// |digits| + delta, where the digits are many and delta is small beside them.
std::string add_to_large(std::string digits, int64_t delta) {
  int64_t carry = delta;
  for (size_t i = digits.size(); i-- > 0 && carry != 0;) {
    const int64_t sum = digits[i] - '0' + carry;
    const int64_t digit = ((sum % 10) + 10) % 10;
    digits[i] = static_cast<char>('0' + digit);
    carry = (sum - digit) / 10;
  }
  if (carry > 0) digits.insert(0, std::to_string(carry));
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  return digits;
}

}  // namespace

std::string canonical_number(const std::string& text) {
  Spelling s = take_apart(text);
  if (s.digits.empty()) return "0";
  const int64_t shift = static_cast<int64_t>(strip_zeros(s.digits)) - s.n_fraction;
  std::string result;
  if (s.negative) result.push_back('-');
  result += s.digits;
  result.push_back('e');
  if (s.exponent.size() <= kSmall) {
    result += std::to_string(small_exponent(s) + shift);
  } else {
    if (s.exponent_negative) result.push_back('-');
    result += add_to_large(s.exponent, s.exponent_negative ? -shift : shift);
  }
  return result;
}

bool number_may_become(const std::string& text, const std::string& canonical) {
  Spelling s = take_apart(text);
  if (canonical == "0") return s.digits.empty();
  const bool negative = canonical[0] == '-';
  if (s.negative != negative) return false;
  const size_t mark = canonical.find('e');
  const std::string wanted = canonical.substr(negative, mark - negative);
  if (!s.has_exponent) {  // more digits may come, or zeros that an exponent takes back
    if (s.digits.size() <= wanted.size()) return wanted.compare(0, s.digits.size(), s.digits) == 0;
    return s.digits.compare(0, wanted.size(), wanted) == 0 &&
           s.digits.find_first_not_of('0', wanted.size()) == std::string::npos;
  }
  const int64_t shift = static_cast<int64_t>(strip_zeros(s.digits)) - s.n_fraction;
  if (s.digits != wanted) return false;
  const std::string exponent = canonical.substr(mark + 1);
  if (exponent.size() > kSmall || s.exponent.size() > kSmall) return true;
  const int64_t needed = std::stoll(exponent) - shift;
  if (needed == 0) return s.exponent.empty();
  const std::string digits = std::to_string(needed < 0 ? -needed : needed);
  if (digits.compare(0, s.exponent.size(), s.exponent) != 0) return false;
  const bool has_sign = !s.exponent.empty() || text.find_last_of("+-") == text.size() - 1;
  if (s.exponent_negative) return needed < 0;
  return needed > 0 || (!has_sign && text.back() != '0');
}

}  // namespace constrain
