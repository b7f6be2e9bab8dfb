// A vector of plain values that holds the first few without touching the heap. Thread lists are
// made and dropped at every byte, and nearly all of them have one or two entries.
#pragma once

#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "core.h"

namespace constrain {

template <class T, uint32_t N>
class InlineVector {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  InlineVector() = default;
  InlineVector(const T* first, const T* last) { assign(first, last); }
  InlineVector(const InlineVector& o) { assign(o.begin(), o.end()); }
  InlineVector& operator=(const InlineVector& o) {
    if (this != &o) assign(o.begin(), o.end());
    return *this;
  }
  InlineVector(InlineVector&& o) noexcept { swap(o); }
  InlineVector& operator=(InlineVector&& o) noexcept {
    swap(o);
    return *this;
  }

  void assign(const T* first, const T* last) {
    size_ = 0;
    reserve(static_cast<uint32_t>(last - first));
    std::copy(first, last, data());
    size_ = static_cast<uint32_t>(last - first);
  }
  void push_back(const T& value) {
    const T copy = value;
    if (size_ == capacity_) reserve(capacity_ * 2);
    data()[size_++] = copy;
  }
  void truncate(const T* end) { size_ = static_cast<uint32_t>(end - begin()); }
  void clear() { size_ = 0; }
  void swap(InlineVector& o) noexcept {
    std::swap(heap_, o.heap_);
    std::swap(size_, o.size_);
    std::swap(capacity_, o.capacity_);
    std::swap(inline_, o.inline_);
  }

  T* data() { return heap_ ? heap_.get() : inline_; }
  const T* data() const { return heap_ ? heap_.get() : inline_; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](uint32_t i) { return data()[i]; }
  const T& operator[](uint32_t i) const { return data()[i]; }

 private:
  void reserve(uint32_t n) {
    if (n <= capacity_) return;
    auto bigger = std::make_unique<T[]>(n);
    std::copy(begin(), end(), bigger.get());
    heap_ = std::move(bigger);
    capacity_ = n;
  }

  uint32_t size_ = 0, capacity_ = N;
  std::unique_ptr<T[]> heap_;
  T inline_[N];
};

}  // namespace constrain
