// A growable array straight from mmap, for the in-target dialect: the program's malloc may be hooked, locked
// or interposed, so nothing that lives in the target calls it.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

namespace calltap::base {

/// Elements must be trivially copyable: growing moves them with mremap. Not thread-safe. Rounds its memory up
/// to whole pages, so it is meant for few and long arrays.
template <class T>
class Array {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Array() = default;
  Array(Array&& other) noexcept { swap(other); }
  Array& operator=(Array&& other) noexcept {
    Array moved(std::move(other));
    swap(moved);
    return *this;
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() {
    if (data_ != nullptr) ::munmap(data_, mapped_);
  }

  /// False when memory is exhausted; the array is unchanged then.
  [[nodiscard]] bool push_back(const T& value) {
    const T copy = value;  // `value` may point into the array that is about to move
    if (size_ == capacity() && !reserve(size_ == 0 ? 1 : size_ * 2)) return false;
    data_[size_++] = copy;
    return true;
  }
  [[nodiscard]] bool append(std::span<const T> values) {
    if (!reserve(size_ + values.size())) return false;
    for (const T& v : values) data_[size_++] = v;
    return true;
  }
  /// New elements are value-initialised.
  [[nodiscard]] bool resize(std::size_t count) {
    if (!reserve(count)) return false;
    for (std::size_t i = size_; i < count; ++i) data_[i] = T{};
    size_ = count;
    return true;
  }
  [[nodiscard]] bool reserve(std::size_t count) {
    if (count <= capacity()) return true;
    const std::size_t bytes = (count * sizeof(T) + kPage - 1) / kPage * kPage;
    void* memory = data_ == nullptr
                       ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                       : ::mremap(data_, mapped_, bytes, MREMAP_MAYMOVE);
    if (memory == MAP_FAILED) return false;
    data_ = static_cast<T*>(memory);
    mapped_ = bytes;
    return true;
  }
  void clear() { size_ = 0; }
  void pop_back() { --size_; }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t capacity() const { return mapped_ / sizeof(T); }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T& back() { return data_[size_ - 1]; }
  operator std::span<const T>() const { return {data_, size_}; }  // NOLINT: implicit by design
  operator std::span<T>() { return {data_, size_}; }              // NOLINT

 private:
  static constexpr std::size_t kPage = 4096;

  void swap(Array& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
};

}  // namespace calltap::base
