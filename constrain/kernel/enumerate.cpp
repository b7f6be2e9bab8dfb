// Finite languages: all texts of an expression, or whether there are finitely many.
#include <unordered_map>

#include "expr.h"

namespace constrain {

namespace {

constexpr size_t kMostSteps = 16384;  // nodes looked at before a language counts as infinite

}  // namespace

// Depth first over derivatives with the text so far; a state that comes back on its own path
// means infinitely many texts.
ExprPool::Finite ExprPool::enumerate(ExprId start, size_t few, std::vector<std::string>& texts) {
  struct Frame {
    ExprId state;
    unsigned next_byte;
  };
  std::vector<Frame> path{{start, 0}};
  std::unordered_map<ExprId, bool> on_path{{start, true}};
  std::string text;
  bool many = false;
  size_t n_steps = 0;
  if (!is_alive(start)) return Finite::kFew;
  if (facts_[start].tags & 1) texts.push_back(text);
  while (!path.empty()) {
    Frame& frame = path.back();
    if (frame.next_byte == 256) {
      on_path[frame.state] = false;
      path.pop_back();
      if (!text.empty()) text.pop_back();
      continue;
    }
    const auto byte = static_cast<uint8_t>(frame.next_byte++);
    const ExprId to = next(frame.state, byte);
    if (to == kEmptyExpr) continue;
    if (++n_steps > kMostSteps) return Finite::kInfinite;
    const auto [entry, fresh] = on_path.try_emplace(to, true);
    if (!fresh && entry->second) return Finite::kInfinite;
    // Enough texts: from here on only cycles matter, and each state is looked at once.
    if (!fresh && many) continue;
    entry->second = true;
    text.push_back(static_cast<char>(byte));
    if ((facts_[to].tags & 1) && !many) texts.push_back(text);
    many |= texts.size() > few;
    path.push_back({to, 0});
  }
  return many ? Finite::kMany : Finite::kFew;
}

}  // namespace constrain
