// A cursor over the bytes of an unwind table, which lie at `address` in the process they describe.
#pragma once

#include <cstdint>
#include <span>

namespace calltap::unwind {

/// After a failed read all later ones fail too, and give zeros.
class ByteCursor {
 public:
  ByteCursor() = default;
  ByteCursor(std::span<const std::uint8_t> bytes, std::uint64_t address)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()), address_(address) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return at_ == end_; }
  [[nodiscard]] std::uint64_t address() const { return address_; }
  [[nodiscard]] const std::uint8_t* here() const { return at_; }
  [[nodiscard]] std::uint64_t bytes_left() const { return static_cast<std::uint64_t>(end_ - at_); }

  template <class T>
  T fixed() {
    T value{};
    if (!has(sizeof value)) return value;
    __builtin_memcpy(&value, at_, sizeof value);
    skip(sizeof value);
    return value;
  }

  std::uint64_t uleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = fixed<std::uint8_t>();
      if (shift < 64) value |= std::uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80) == 0) return value;
    }
  }

  std::int64_t sleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const auto byte = fixed<std::uint8_t>();
      if (shift < 64) value |= std::uint64_t{byte & 0x7FU} << shift;
      shift += 7;
      if ((byte & 0x80) != 0) continue;
      if (shift < 64 && (byte & 0x40) != 0) value |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(value);
    }
  }

  /// DW_EH_PE_*: absolute, relative to the field itself, or relative to `data`. No others occur in tables of
  /// code.
  std::uint64_t encoded(std::uint8_t encoding, std::uint64_t data) {
    const std::uint64_t field = address_;
    const std::uint64_t value = number(encoding & 0x0F);
    switch (encoding & 0xF0) {
      case 0x00:
        return value;
      case 0x10:
        return value + field;
      case 0x30:
        return value + data;
      default:
        return fail();
    }
  }

  /// Takes so many bytes.
  ByteCursor block(std::uint64_t size) {
    if (size > bytes_left()) {
      fail();
      size = 0;
    }
    const ByteCursor inner({at_, static_cast<std::size_t>(size)}, address_);
    skip(size);
    return inner;
  }
  ByteCursor rest() { return block(bytes_left()); }

  std::uint64_t fail() {
    ok_ = false;
    at_ = end_;
    return 0;
  }

 private:
  bool has(std::uint64_t bytes) {
    if (bytes_left() >= bytes) return true;
    fail();
    return false;
  }
  void skip(std::uint64_t bytes) {
    at_ += bytes;
    address_ += bytes;
  }

  std::uint64_t number(std::uint8_t format) {
    switch (format) {
      case 0x00:
      case 0x04:
      case 0x0C:
        return fixed<std::uint64_t>();
      case 0x01:
        return uleb();
      case 0x02:
        return fixed<std::uint16_t>();
      case 0x03:
        return fixed<std::uint32_t>();
      case 0x09:
        return static_cast<std::uint64_t>(sleb());
      case 0x0A:
        return static_cast<std::uint64_t>(std::int64_t{fixed<std::int16_t>()});
      case 0x0B:
        return static_cast<std::uint64_t>(std::int64_t{fixed<std::int32_t>()});
      default:
        return fail();
    }
  }

  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  std::uint64_t address_ = 0;
  bool ok_ = true;
};

}  // namespace calltap::unwind
