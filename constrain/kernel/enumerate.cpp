// Texts of an expression: all of a small finite language, or the lengths of the shortest ones.
#include <map>

#include "expr.h"

namespace constrain {

namespace {

constexpr size_t kMostSteps = 16384;  // derivatives looked at before it counts as large

}  // namespace

// Depth first over derivatives with the text so far.
bool ExprPool::enumerate(ExprId start, size_t few, std::vector<std::string>& texts) {
  struct Frame {
    ExprId state;
    unsigned next_byte;
  };
  std::vector<Frame> path{{start, 0}};
  std::string text;
  size_t n_steps = 0;
  if (!is_alive(start)) return true;
  if (facts_[start].tags & 1) texts.push_back(text);
  while (!path.empty()) {
    Frame& frame = path.back();
    if (frame.next_byte == 256) {
      path.pop_back();
      if (!text.empty()) text.pop_back();
      continue;
    }
    const auto byte = static_cast<uint8_t>(frame.next_byte++);
    const ExprId to = next(frame.state, byte);
    if (to == kEmptyExpr) continue;
    text.push_back(static_cast<char>(byte));
    if (facts_[to].tags & 1) texts.push_back(text);
    if (texts.size() > few || ++n_steps > kMostSteps) return false;
    path.push_back({to, 0});
  }
  return true;
}

namespace {

// How the character that has begun is spelled: as itself, or escaped since a byte is missing in
// the alphabet, or escaped in the expectation that one will be.
enum Begun : uint64_t { kRaw, kEscaped, kExpected };

}  // namespace

// Layer by layer of spelled length; derivatives are deterministic, so paths are texts, and each
// character is spelled in one way.
std::vector<uint32_t> ExprPool::shortest_texts(ExprId start, size_t n) {
  std::vector<uint32_t> lengths;
  // length -> state and what has begun -> number of texts that lead there
  std::map<uint32_t, std::map<uint64_t, uint64_t>> layers;
  if (is_alive(start)) layers[0][uint64_t{start} << 2] = 1;
  size_t n_steps = 0;
  while (!layers.empty() && lengths.size() < n && n_steps < kMostSteps * 16) {
    const auto [length, states] = *layers.begin();
    layers.erase(layers.begin());
    for (const auto& [key, count] : states) {
      const auto state = static_cast<ExprId>(key >> 2);
      const uint64_t begun = key & 3;
      if (facts_[state].tags & 1 && begun != kExpected)
        for (uint64_t i = 0; i < count && lengths.size() < n; ++i) lengths.push_back(length);
      for (unsigned b = 0; b < 256; ++b, ++n_steps) {
        const auto byte = static_cast<uint8_t>(b);
        const ExprId to = next(state, byte);
        if (to == kEmptyExpr) continue;
        const auto add = [&, from_length = length, n_texts = count](uint64_t then) {
          uint64_t& there = layers[from_length + spelled_cost(byte, then != kRaw)]
                                  [uint64_t{to} << 2 | then];
          there = std::min<uint64_t>(there + n_texts, n);
        };
        const bool is_there = byte < 0x80 || alphabet_.has(byte);
        if ((byte & 0xC0) == 0x80) {
          if (begun != kRaw) add(begun == kExpected && is_there ? kExpected : kEscaped);
          else if (is_there) add(kRaw);
        } else if (begun != kExpected) {
          if (is_there) add(kRaw);
          if (spelled_cost(byte, true) < kInfinite) add(is_there ? kExpected : kEscaped);
        }
      }
    }
  }
  return lengths;
}

}  // namespace constrain
