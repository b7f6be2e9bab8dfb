// Small finite languages: all texts of an expression.
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

}  // namespace constrain
