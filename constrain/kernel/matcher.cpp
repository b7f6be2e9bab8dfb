#include "compiled.h"

namespace constrain {

Matcher::Matcher(std::shared_ptr<Compiled> compiled_)
    : compiled(std::move(compiled_)), config_(compiled->start_config()) {
  compiled->matchers.insert(this);
}

Matcher::Matcher(const Matcher& other)
    : compiled(other.compiled),
      config_(other.config_),
      finished_(other.finished_),
      recent_(other.recent_),
      text_(other.text_),
      ends_(other.ends_) {
  compiled->matchers.insert(this);
}

Matcher::~Matcher() { compiled->matchers.erase(this); }

void Matcher::push(ConfigId next, size_t n_bytes) {
  if (recent_.size() >= 2 * kWindow)  // amortized: forget all but the window
    recent_.erase(recent_.begin(), recent_.end() - static_cast<std::ptrdiff_t>(kWindow));
  recent_.push_back(config_);
  ends_.push_back(text_.size() - n_bytes);
  config_ = next;
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
  if (bytes.empty()) return Outcome::kRejected;
  compiled->relieve();
  ConfigId next;
  if (!compiled->step(config_, bytes, next, n_read)) return Outcome::kRejected;
  if (!compiled->spellable(next)) return Outcome::kRejected;
  text_ += bytes;
  push(next, bytes.size());
  return Outcome::kOk;
}

Matcher::Outcome Matcher::accept_bytes(const std::string& bytes, size_t& n_read) {
  n_read = 0;
  if (finished_) return Outcome::kFinished;
  compiled->relieve();
  ConfigId next;
  if (!compiled->step(config_, bytes, next, n_read)) return Outcome::kRejected;
  if (!compiled->spellable(next)) return Outcome::kRejected;
  text_ += bytes;
  push(next, bytes.size());
  return Outcome::kOk;
}

void Matcher::rollback(uint32_t n_steps) {
  if (n_steps == 0) return;
  const size_t left = ends_.size() - n_steps;
  const size_t n_bytes = ends_[left];
  if (n_steps <= recent_.size()) {
    config_ = recent_[recent_.size() - n_steps];
    recent_.resize(recent_.size() - n_steps);
  } else {  // further back than the window: read the text again
    size_t n_read;
    config_ = compiled->start_config();
    recent_.clear();
    compiled->step(config_, text_.substr(0, n_bytes), config_, n_read);
  }
  text_.resize(n_bytes);
  ends_.resize(left);
  finished_ = false;
}

}  // namespace constrain
