#include "trie.h"

namespace constrain {

Trie::Trie(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.text != b.text ? a.text < b.text : a.token < b.token;
  });
  byte_.push_back(0);
  depth_.push_back(0);
  end_.push_back(0);
  first_.push_back(0);
  std::vector<uint32_t> path{0};  // nodes from the root to the current text
  std::string_view last;
  for (const Entry& entry : entries) {
    size_t shared = 0;
    const size_t limit = std::min(last.size(), entry.text.size());
    while (shared < limit && last[shared] == entry.text[shared]) ++shared;
    while (path.size() > shared + 1) {
      end_[path.back()] = size();
      path.pop_back();
    }
    for (size_t i = shared; i < entry.text.size(); ++i) {
      path.push_back(size());
      byte_.push_back(static_cast<uint8_t>(entry.text[i]));
      depth_.push_back(static_cast<uint32_t>(i + 1));
      end_.push_back(0);
      first_.push_back(static_cast<uint32_t>(tokens_.size()));
    }
    tokens_.push_back(entry.token);
    last = entry.text;
  }
  for (const uint32_t node : path) end_[node] = size();
  first_.push_back(static_cast<uint32_t>(tokens_.size()));
  index_children();
}

Trie::Trie(const Trie& from, uint32_t node) {
  const uint32_t n = from.end_[node] - node, base = from.first_[node];
  byte_.assign(from.byte_.begin() + node, from.byte_.begin() + node + n);
  for (uint32_t i = 0; i < n; ++i) {
    end_.push_back(from.end_[node + i] - node);
    depth_.push_back(from.depth_[node + i] - from.depth_[node]);
  }
  for (uint32_t i = 0; i <= n; ++i) first_.push_back(from.first_[node + i] - base);
  tokens_.assign(from.tokens_.begin() + base, from.tokens_.begin() + base + first_.back());
  index_children();
}

void Trie::index_children() {
  child_first_.reserve(size() + 1);
  for (uint32_t node = 0; node < size(); ++node) {
    child_first_.push_back(static_cast<uint32_t>(children_.size()));
    for (uint32_t c = node + 1; c < end_[node]; c = end_[c]) children_.push_back(c);
  }
  child_first_.push_back(static_cast<uint32_t>(children_.size()));
}

uint32_t Trie::child(uint32_t node, uint8_t wanted) const {
  const uint32_t* lo = children_begin(node);
  const uint32_t* hi = children_end(node);
  const uint32_t* at =
      std::lower_bound(lo, hi, wanted, [&](uint32_t c, uint8_t b) { return byte_[c] < b; });
  return at != hi && byte_[*at] == wanted ? *at : kNone;
}

void Trie::record_subtree_bytes() {
  subtree_bytes_.assign(size(), ByteSet{});
  for (uint32_t node = size(); node-- > 0;) {
    ByteSet set;
    for (const uint32_t* c = children_begin(node); c != children_end(node); ++c) {
      set = set | subtree_bytes_[*c];
      set.add(byte_[*c]);
    }
    subtree_bytes_[node] = set;
  }
}

}  // namespace constrain
