#include "compiled.h"

namespace constrain {

Matcher::Matcher(std::shared_ptr<Compiled> compiled_)
    : compiled(std::move(compiled_)), config_(compiled->start_config()) {
  if (compiled->program.has_wishes)
    outline_ = compiled->start_outline();
  compiled->matchers.insert(this);
}

Matcher::Matcher(const Matcher& other)
    : compiled(other.compiled),
      config_(other.config_),
      finished_(other.finished_),
      recent_(other.recent_),
      outline_(other.outline_),
      outlines_(other.outlines_),
      text_(other.text_),
      ends_(other.ends_) {
  compiled->matchers.insert(this);
}

Matcher::~Matcher() { compiled->matchers.erase(this); }

void Matcher::push(ConfigId next, size_t n_bytes) {
  if (recent_.size() >= 2 * kWindow) {  // amortized: forget all but the window
    const auto n = static_cast<std::ptrdiff_t>(kWindow);
    recent_.erase(recent_.begin(), recent_.end() - n);
    if (outline_) outlines_.erase(outlines_.begin(), outlines_.end() - n);
  }
  recent_.push_back(config_);
  if (outline_) outlines_.push_back(*outline_);
  ends_.push_back(text_.size() - n_bytes);
  config_ = next;
}

Matcher::Outcome Matcher::advance(const std::string& bytes, size_t& n_read) {
  compiled->relieve();
  ConfigId next;
  std::optional<Outline> outline = outline_;
  Outline* const follower = outline ? &*outline : nullptr;
  if (!compiled->step(config_, bytes, next, n_read, follower)) return Outcome::kRejected;
  if (!compiled->spellable(next)) return Outcome::kRejected;
  text_ += bytes;
  push(next, bytes.size());
  outline_ = std::move(outline);
  return Outcome::kOk;
}

Matcher::Outcome Matcher::accept(uint32_t token, size_t& n_read) {
  n_read = 0;
  if (finished_) return Outcome::kFinished;
  const Engine& engine = *compiled->engine;
  if (token >= engine.n_vocab) return Outcome::kRejected;
  if (engine.end_set.contains(token)) {
    if (!compiled->accepts_end(config_)) return Outcome::kRejected;
    push(config_, 0);
    finished_ = true;
    return Outcome::kOk;
  }
  const std::string& bytes = engine.tables.token(token);
  return bytes.empty() ? Outcome::kRejected : advance(bytes, n_read);
}

Matcher::Outcome Matcher::accept_bytes(const std::string& bytes, size_t& n_read) {
  n_read = 0;
  return finished_ ? Outcome::kFinished : advance(bytes, n_read);
}

void Matcher::rollback(uint32_t n_steps) {
  if (n_steps == 0) return;
  const size_t left = ends_.size() - n_steps;
  const size_t n_bytes = ends_[left];
  if (n_steps <= recent_.size()) {
    const size_t at = recent_.size() - n_steps;
    config_ = recent_[at];
    recent_.resize(at);
    if (outline_) {
      outline_ = outlines_[at];
      outlines_.erase(outlines_.begin() + static_cast<std::ptrdiff_t>(at), outlines_.end());
    }
  } else {  // further back than the window: read the text again
    size_t n_read;
    config_ = compiled->start_config();
    recent_.clear();
    outlines_.clear();
    if (outline_) outline_ = compiled->start_outline();
    compiled->step(config_, text_.substr(0, n_bytes), config_, n_read,
                   outline_ ? &*outline_ : nullptr);
  }
  text_.resize(n_bytes);
  ends_.resize(left);
  finished_ = false;
}

}  // namespace constrain
