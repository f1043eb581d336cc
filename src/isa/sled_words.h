// What a row of a table of sled forms consists of on architectures whose entry changes by words: each word of
// the entry as it is in the three states of a site.
//
//   off        as the compiler left it, or the linker
//   prepared   after what is written once has been written; the words that differ from `off` stay like this
//   on         differs from `prepared` in one word only, the switch, which is one aligned store
//
// aarch64/sled_forms.h and riscv64/sled_forms.h have the tables. x86-64 changes by bytes and has its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace calltap::isa {

/// An instruction of which only the bits of `mask` are known, the others being its operand.
struct Pattern {
  std::uint32_t value = 0;
  std::uint32_t mask = 0xffffffff;

  [[nodiscard]] constexpr bool matches(std::uint32_t word) const { return (word & mask) == value; }
  friend constexpr bool operator==(const Pattern&, const Pattern&) = default;
};

struct SledWord {
  std::uint8_t bytes = 0;  // 2 or 4; a switch is aligned to this
  Pattern off;
  Pattern prepared;
  Pattern on;
};

inline constexpr std::size_t kMaxSledWords = 2;

template <class Form>
struct WordSled {
  Form form{};
  std::string_view notation;     // the off form, as assemblers write it
  std::uint8_t first_nop_bytes;  // length of the NOP that it begins with
  std::uint8_t pad_bytes;        // that must lie before the entry
  std::uint8_t count;            // words
  std::uint8_t body_offset;      // from the unit; what the form has behind it is part of the body
  std::array<SledWord, kMaxSledWords> words;

  /// Bytes of the entry, from the unit on, that the form takes.
  [[nodiscard]] constexpr std::size_t length() const {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += words[i].bytes;
    return sum;
  }
  /// Where in it the switch is.
  [[nodiscard]] constexpr std::size_t switch_offset() const {
    std::size_t offset = 0;
    for (std::size_t i = 0; i < count && words[i].prepared == words[i].on; ++i) offset += words[i].bytes;
    return offset;
  }
};

enum class SledState : std::uint8_t { kForeign, kOff, kPrepared, kOn };

/// Little-endian, as instructions are; 0 for what `code` ends before.
constexpr std::uint32_t word_at(std::span<const std::uint8_t> code, std::size_t offset, std::size_t bytes) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < bytes && offset + i < code.size(); ++i) {
    word |= static_cast<std::uint32_t>(code[offset + i]) << (8 * i);
  }
  return word;
}

/// The state of a site of this form with `code` at its unit. kForeign if it is in none, also half prepared.
/// A form that needs no preparing is kOff, never kPrepared.
template <class Form>
constexpr SledState state_of(const WordSled<Form>& sled, std::span<const std::uint8_t> code) {
  if (code.size() < sled.length()) return SledState::kForeign;
  bool off = true;
  bool prepared = true;
  bool on = true;
  std::size_t offset = 0;
  for (std::size_t i = 0; i < sled.count; offset += sled.words[i].bytes, ++i) {
    const std::uint32_t word = word_at(code, offset, sled.words[i].bytes);
    off = off && sled.words[i].off.matches(word);
    prepared = prepared && sled.words[i].prepared.matches(word);
    on = on && sled.words[i].on.matches(word);
  }
  if (off) return SledState::kOff;
  if (prepared) return SledState::kPrepared;
  return on ? SledState::kOn : SledState::kForeign;
}

}  // namespace calltap::isa
