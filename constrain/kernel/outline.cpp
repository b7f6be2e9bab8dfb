#include "outline.h"

namespace constrain {

namespace {

bool is_space(uint8_t b) { return b == ' ' || b == '\n' || b == '\t' || b == '\r'; }
bool is_digit(uint8_t b) { return b >= '0' && b <= '9'; }
bool is_letter(uint8_t b) { return b >= 'a' && b <= 'z'; }
bool is_number(uint8_t b) {
  return is_digit(b) || b == '.' || b == 'e' || b == 'E' || b == '+' || b == '-';
}

}  // namespace

ShapeTokens::ShapeTokens(const std::vector<std::string>& tokens)
    : quotes((tokens.size() + 63) / 64), marks(quotes.size()) {
  for (size_t t = 0; t < tokens.size(); ++t) {
    const uint64_t bit = uint64_t{1} << (t & 63);
    const std::string& text = tokens[t];
    if (text.find('"') != std::string::npos) quotes[t >> 6] |= bit;
    if (text.find_first_of("\" \n\t\r,") != std::string::npos) marks[t >> 6] |= bit;
  }
}

void Outline::follow(uint8_t byte, const JsonPlace& after) {
  if (in_ != In::kNothing) read(byte);
  if (in_ == In::kNothing && after.begun) {
    open_.clear();
    in_ = In::kBefore;
    wishes_ = after.wishes;
    read(byte);
  }
  if (byte == '[' && in_ == In::kBetween && !open_.empty())
    open_[open_.size() - 1].min_items = after.min_items;
  place(after);
}

// What the threads know better: where JSON begins and ends.
void Outline::place(const JsonPlace& at) {
  if (at.wishes && !at.begun) {
    in_ = In::kBefore;
    wishes_ = at.wishes;
    open_.clear();
  } else if (!at.wishes && in_ != In::kNothing && in_ != In::kAfter) {
    const bool ended = open_.empty() && (in_ == In::kNumber || in_ == In::kWord);
    in_ = ended ? In::kAfter : In::kNothing;
  }
}

float Outline::read(uint8_t byte) {
  switch (in_) {
    case In::kNothing:
      return 0.0f;
    case In::kString:
    case In::kKey:
      empty_ = false;
      if (escaped_) escaped_ = false;
      else if (byte == '\\') escaped_ = true;
      else if (byte == '"' && in_ == In::kKey) in_ = In::kBetween;
      else if (byte == '"') end_value();
      return 0.0f;
    case In::kNumber:
      if (is_number(byte)) {
        n_digits_ += is_digit(byte);
        return 0.0f;
      }
      end_value();
      break;
    case In::kWord:
      if (is_letter(byte)) return 0.0f;
      end_value();
      break;
    default:
      break;
  }
  return read_between(byte);
}

float Outline::read_between(uint8_t byte) {
  if (is_space(byte)) return -wishes_->compact;
  if (in_ == In::kAfter) {
    in_ = In::kNothing;
    return 0.0f;
  }
  Open* top = open_.empty() ? nullptr : &open_[open_.size() - 1];
  if (byte == '"' && top && top->expects_key) {
    top->expects_key = false;
    in_ = In::kKey;
  } else if (byte == '"') {
    begin_value(In::kString);
  } else if (byte == '{' || byte == '[') {
    begin_value(In::kBetween);
    open_.push_back({byte == '[', byte == '{', 0, 0});
  } else if ((byte == '}' || byte == ']') && top) {
    open_.truncate(top);
    end_value();
  } else if (byte == ',' && top) {
    top->expects_key = !top->is_array;
    if (top->is_array && top->n_items >= top->min_items)
      return -wishes_->short_arrays * static_cast<float>(top->n_items);
  } else if (is_letter(byte)) {
    begin_value(In::kWord);
  } else if (is_number(byte)) {
    begin_value(In::kNumber);
    n_digits_ = is_digit(byte);
  } else if (in_ == In::kBefore) {  // what might have been JSON is other text
    in_ = In::kNothing;
  }
  return 0.0f;
}

void Outline::begin_value(In scalar) {
  if (!open_.empty()) ++open_[open_.size() - 1].n_items;
  in_ = scalar;
  empty_ = true;
  escaped_ = false;
}

void Outline::end_value() { in_ = open_.empty() ? In::kAfter : In::kBetween; }

float Outline::offset() const { return in_text() ? -wishes_->short_strings : 0.0f; }

float Outline::worth(const std::string& token) const {
  Outline at = *this;
  float sum = 0.0f;
  bool goes_on = in_text();
  if (in_ == In::kNumber && is_number(static_cast<uint8_t>(token[0])))
    sum -= wishes_->short_numbers * static_cast<float>(n_digits_);
  for (const char c : token) {
    sum += at.read(static_cast<uint8_t>(c));
    goes_on &= at.in_ == In::kString;
    if (at.in_ == In::kNothing) break;
  }
  return goes_on ? sum - wishes_->short_strings : sum;
}

void Outline::biases(const ShapeTokens& shapes, const std::vector<std::string>& tokens,
                     const uint64_t* mask, Biases& out) const {
  if (in_ == In::kNothing) return;
  const bool needs_quote = in_ == In::kString || in_ == In::kKey;
  // Inside a number all tokens that may come are looked at: they are few.
  const bool all = in_ == In::kNumber && wishes_->short_numbers != 0.0f;
  const std::vector<uint64_t>& known = needs_quote ? shapes.quotes : shapes.marks;
  const float offset = this->offset();
  for (uint32_t w = 0; w < known.size(); ++w)
    for (uint64_t word = all ? mask[w] : mask[w] & known[w]; word; word &= word - 1) {
      const uint32_t token = w * 64 + static_cast<uint32_t>(__builtin_ctzll(word));
      const float value = worth(tokens[token]) - offset;
      if (value != 0.0f) out.emplace_back(token, value);
    }
}

}  // namespace constrain
