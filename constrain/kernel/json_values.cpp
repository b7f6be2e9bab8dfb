#include "json_values.h"

#include <algorithm>

namespace constrain {

namespace {

bool is_space(uint8_t b) { return b == ' ' || b == '\t' || b == '\n' || b == '\r'; }

bool ends_bare(uint8_t b) { return is_space(b) || b == ',' || b == ']' || b == '}'; }

bool is_number(uint32_t first_byte) {
  return first_byte == '-' || (first_byte >= '0' && first_byte <= '9');
}

ByteSet bytes_in(const char* text) {
  ByteSet set;
  for (; *text; ++text) set.add(static_cast<uint8_t>(*text));
  return set;
}

}  // namespace

JsonValues::JsonValues(Interner<Prefix>& prefixes) : prefixes_(prefixes) {
  frames_.intern({0, kScalar, 0, kNone});  // none: unlike any container
  lists_.intern(nullptr, 0);
  sets_.intern(nullptr, 0);
}

void JsonValues::append(Reading& at, uint8_t byte) {
  at.text = prefixes_.intern({at.text, byte});
  ++at.length;
}

void JsonValues::read(Reading& at, uint8_t byte) {
  if (at.mode == Reading::kDone) return;
  if (at.mode == Reading::kString) {
    read_in_string(at, byte);
    return;
  }
  if (at.mode == Reading::kBare) {
    if (!ends_bare(byte)) {
      append(at, byte);
      return;
    }
    add(at, scalar(text_of(at)));
  }
  if (is_space(byte) || byte == ',' || byte == ':') return;
  if (byte == '[' || byte == '{') {
    at.frame = frames_.intern({at.frame, byte == '[' ? kArray : kObject, 0, kNone});
  } else if (byte == ']' || byte == '}') {
    close(at);
  } else {
    at.mode = byte == '"' ? Reading::kString : Reading::kBare;
    append(at, byte);
  }
}

// Text of a string: its decoded characters, with a reverse solidus before each '"' and '\'.
void JsonValues::read_in_string(Reading& at, uint8_t byte) {
  const auto add_char = [&](uint8_t b) {
    if (b == '"' || b == '\\') append(at, '\\');
    append(at, b);
  };
  if (at.escape != kNoEscape) {
    const EscapeStep step = escape_step(at.escape, byte, EscapeMode::kAny);
    at.escape = step.outcome == EscapeStep::kPending ? step.value : kNoEscape;
    if (step.outcome != EscapeStep::kChar) return;
    uint8_t utf8[4];
    const int n = encode_utf8(step.value, utf8);
    for (int i = 0; i < n; ++i) add_char(utf8[i]);
  } else if (byte == '\\') {
    at.escape = kAfterBackslash;
  } else if (byte == '"') {
    append(at, byte);
    const ItemId value = scalar(text_of(at));
    Frame frame = frames_[at.frame];
    if (at.frame != 0 && frame.kind == kObject && frame.key == kNone) {
      frame.key = value;
      at = {Reading::kBetween, frames_.intern(frame), 0, 0, 0};
    } else {
      add(at, value);
    }
  } else {
    append(at, byte);
  }
}

// A value is complete: it goes into the container that is open.
void JsonValues::add(Reading& at, ItemId value) {
  if (at.frame == 0) {
    at = {Reading::kDone, 0, value, 0, 0};
    return;
  }
  Frame frame = frames_[at.frame];
  std::vector<uint32_t> members(lists_.begin(frame.members), lists_.end(frame.members));
  size_t place = members.size();
  if (frame.kind == kObject) {
    for (place = 0; place < members.size() && members[place] < frame.key;) place += 2;
    members.insert(members.begin() + static_cast<std::ptrdiff_t>(place), {frame.key, value});
  } else {
    members.push_back(value);
  }
  frame.key = kNone;
  frame.members = lists_.intern(members.data(), members.size());
  at = {Reading::kBetween, frames_.intern(frame), 0, 0, 0};
}

void JsonValues::close(Reading& at) {
  if (at.frame == 0) return;
  const Frame frame = frames_[at.frame];
  std::vector<uint32_t> words{frame.kind};
  words.insert(words.end(), lists_.begin(frame.members), lists_.end(frame.members));
  const ItemId value = values_.intern(words.data(), words.size());
  at.frame = frame.parent;
  add(at, value);
}

ItemId JsonValues::scalar(const std::string& text) {
  const std::string canonical =
      is_number(static_cast<uint8_t>(text[0])) ? canonical_number(text) : text;
  std::vector<uint32_t> words{kScalar};
  for (const char c : canonical) words.push_back(static_cast<uint8_t>(c));
  return values_.intern(words.data(), words.size());
}

ItemId JsonValues::read_all(const std::string& text) {
  Reading at;
  for (const char c : text) read(at, static_cast<uint8_t>(c));
  return value_of(at);
}

ItemId JsonValues::value_of(const Reading& at) {
  if (at.mode == Reading::kDone) return at.text;
  return at.mode == Reading::kBare && at.frame == 0 ? scalar(text_of(at)) : kNone;
}

std::string JsonValues::text_of(const Reading& at) const {
  std::string text(at.length, ' ');
  uint32_t prefix = at.text;
  for (size_t i = text.size(); i-- > 0; prefix = prefixes_[prefix].parent)
    text[i] = static_cast<char>(prefixes_[prefix].byte);
  return text;
}

// Back to front: where texts differ, they mostly do so at the end.
bool JsonValues::begins_with(ItemId value, const Reading& at) const {
  const uint32_t* bytes = values_.begin(value) + 1;
  if (static_cast<size_t>(values_.end(value) - bytes) < at.length) return false;
  uint32_t prefix = at.text;
  for (uint32_t i = at.length; i-- > 0; prefix = prefixes_[prefix].parent)
    if (bytes[i] != prefixes_[prefix].byte) return false;
  return true;
}

bool JsonValues::is_key_left(const Frame& frame, ItemId key) const {
  const uint32_t *members = lists_.begin(frame.members), *end = lists_.end(frame.members);
  for (; members != end; members += 2)
    if (*members == key) return false;
  return true;
}

// One container further in: can what was read of it be the beginning of `place.value`?
bool JsonValues::enter(const Frame& frame, bool goes_on, Place& place) const {
  const uint32_t *of = values_.begin(place.value), *of_end = values_.end(place.value);
  if (*of++ != frame.kind) return false;
  const uint32_t *has = lists_.begin(frame.members), *has_end = lists_.end(frame.members);
  if (frame.kind == kArray) {
    if (of_end - of < has_end - has || !std::equal(has, has_end, of)) return false;
    of += has_end - has;
    if (!goes_on) {
      place.anywhere = true;
    } else {
      if (of == of_end) return false;
      place.value = *of;
    }
    return true;
  }
  for (const uint32_t* at = of; has != has_end; has += 2, at += 2) {  // both by key
    while (at != of_end && *at < *has) at += 2;
    if (at == of_end || *at != *has || at[1] != has[1]) return false;
  }
  if (frame.key == kNone) {
    if (goes_on) place.keys = &frame; else place.anywhere = true;
    return true;
  }
  while (of != of_end && *of != frame.key) of += 2;
  if (of == of_end) return false;
  place.value = of[1];
  return true;
}

bool JsonValues::locate(const Reading& at, ItemId value, Place& place) const {
  place.value = value;
  if (at.frame == 0) return true;
  std::vector<uint32_t> chain;
  for (uint32_t f = at.frame; f; f = frames_[f].parent) chain.push_back(f);
  for (size_t i = chain.size(); i-- > 0;)
    if (!enter(frames_[chain[i]], i > 0 || at.mode != Reading::kBetween, place)) return false;
  return true;
}

bool JsonValues::bare_may_become(const Reading& at, ItemId value) const {
  const uint32_t first = values_.begin(value)[1];
  const std::string text = text_of(at);
  if (!is_number(first)) return begins_with(value, at);
  if (!is_number(static_cast<uint8_t>(text[0]))) return false;
  return number_may_become(text, std::string(values_.begin(value) + 1, values_.end(value)));
}

bool JsonValues::is_zero_with_exponent(const Reading& at) const {
  if (at.mode != Reading::kBare) return false;
  const std::string text = text_of(at);
  const size_t mark = text.find_first_of("eE");
  return mark != std::string::npos && is_number(static_cast<uint8_t>(text[0])) &&
         text.find_first_of("123456789") > mark;
}

bool JsonValues::may_become(const Reading& at, ItemId value) const {
  if (at.mode == Reading::kDone) return at.text == value;
  Place place;
  if (!locate(at, value, place)) return false;
  if (place.anywhere || at.mode == Reading::kBetween) return true;
  if (place.keys) {
    const uint32_t *of = values_.begin(place.value) + 1, *end = values_.end(place.value);
    for (; of != end; of += 2)
      if (begins_with(*of, at) && is_key_left(*place.keys, *of)) return true;
    return false;
  }
  if (!is_scalar(place.value)) return false;
  return at.mode == Reading::kBare ? bare_may_become(at, place.value)
                                   : begins_with(place.value, at);
}

// After the text of the reading, which is the beginning of the scalar.
void JsonValues::add_scalar_bytes(const Reading& at, ItemId value, ByteSet& set) const {
  const uint32_t *bytes = values_.begin(value) + 1, *end = values_.end(value);
  if (at.mode == Reading::kString) {
    if (static_cast<size_t>(end - bytes) > at.length)
      set.add(static_cast<uint8_t>(bytes[at.length]));
    set.add('\\');
  } else if (at.mode == Reading::kBare) {
    static const ByteSet rest = bytes_in("0123456789.eE+- \t\n\r,]}");
    set = set | rest;
    if (!is_number(*bytes) && static_cast<size_t>(end - bytes) > at.length)
      set.add(static_cast<uint8_t>(bytes[at.length]));
  }
}

ByteSet JsonValues::bytes_towards(const Reading& at, ItemId value) const {
  ByteSet set;
  Place place;
  if (at.mode == Reading::kDone || !locate(at, value, place)) return set;
  if (at.escape != kNoEscape || place.anywhere) return ~set;
  if (place.keys) {
    const uint32_t *of = values_.begin(place.value) + 1, *end = values_.end(place.value);
    for (; of != end; of += 2)
      if (begins_with(*of, at)) add_scalar_bytes(at, *of, set);
  } else if (at.mode != Reading::kBetween) {
    if (is_scalar(place.value)) add_scalar_bytes(at, place.value, set);
  } else {  // a value comes, perhaps after a colon
    static const ByteSet before = bytes_in(" \t\n\r:,");
    static const ByteSet digits = bytes_in("-0123456789");
    const uint32_t* words = values_.begin(place.value);
    set = before;
    if (*words != kScalar) set.add(*words == kArray ? '[' : '{');
    else if (is_number(words[1])) set = set | digits;
    else set.add(static_cast<uint8_t>(words[1]));
  }
  return set;
}

bool JsonValues::contains(ItemSet set, ItemId value) const {
  return std::binary_search(begin(set), end(set), value);
}

ItemSet JsonValues::insert(ItemSet set, ItemId value) {
  std::vector<uint32_t> values(begin(set), end(set));
  const auto place = std::lower_bound(values.begin(), values.end(), value);
  if (place == values.end() || *place != value) values.insert(place, value);
  return sets_.intern(values.data(), values.size());
}

ItemSet JsonValues::make_set(std::vector<ItemId> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return sets_.intern(values.data(), values.size());
}

// Values into another store, parts first, without recursion. `moved[id]` is the id there.
void JsonValues::move_all(std::vector<ItemId> pending, JsonValues& to,
                          std::vector<uint32_t>& moved) const {
  moved.resize(values_.size(), kNone);
  while (!pending.empty()) {
    const ItemId id = pending.back();
    const size_t n_pending = pending.size();
    const uint32_t *begin = values_.begin(id), *end = values_.end(id);
    if (*begin != kScalar && moved[id] == kNone)
      for (const uint32_t* p = begin + 1; p != end; ++p)
        if (moved[*p] == kNone) pending.push_back(*p);
    if (pending.size() != n_pending) continue;
    pending.pop_back();
    if (moved[id] != kNone) continue;
    std::vector<uint32_t> words(begin, end);
    if (*begin != kScalar) move_members(words.begin() + 1, words.end(), *begin == kObject, moved);
    moved[id] = to.values_.intern(words.data(), words.size());
  }
}

// Ids of items or members as they are in the other store; members are sorted by key there too.
void JsonValues::move_members(Words begin, Words end, bool is_object,
                              const std::vector<uint32_t>& moved) {
  std::vector<std::pair<uint32_t, uint32_t>> members;
  for (Words p = begin; p != end; ++p) *p = moved[*p];
  if (!is_object) return;
  for (Words p = begin; p != end; p += 2) members.emplace_back(p[0], p[1]);
  std::sort(members.begin(), members.end());
  for (const auto& [key, value] : members) {
    *begin++ = key;
    *begin++ = value;
  }
}

ItemId JsonValues::move_value(ItemId value, JsonValues& to, std::vector<uint32_t>& moved) const {
  move_all({value}, to, moved);
  return moved[value];
}

ItemSet JsonValues::move_set(ItemSet set, JsonValues& to, std::vector<uint32_t>& moved) const {
  std::vector<uint32_t> values(begin(set), end(set));
  move_all(values, to, moved);
  for (uint32_t& value : values) value = moved[value];
  return to.make_set(std::move(values));
}

Reading JsonValues::move_reading(const Reading& at, JsonValues& to,
                                 std::vector<uint32_t>& moved) const {
  Reading result = at;
  std::vector<uint32_t> chain;
  for (uint32_t f = at.frame; f; f = frames_[f].parent) chain.push_back(f);
  result.frame = 0;
  for (size_t i = chain.size(); i-- > 0;) {
    Frame frame = frames_[chain[i]];
    std::vector<uint32_t> members(lists_.begin(frame.members), lists_.end(frame.members));
    move_all(members, to, moved);
    move_members(members.begin(), members.end(), frame.kind == kObject, moved);
    frame.parent = result.frame;
    frame.members = to.lists_.intern(members.data(), members.size());
    if (frame.key != kNone) frame.key = move_value(frame.key, to, moved);
    result.frame = to.frames_.intern(frame);
  }
  if (at.mode == Reading::kDone) {
    result.text = move_value(at.text, to, moved);
  } else {
    result.text = 0;
    for (const char c : text_of(at))
      result.text = to.prefixes_.intern({result.text, static_cast<uint8_t>(c)});
  }
  return result;
}

}  // namespace constrain
