#include "site/eh_frame.h"

#include <optional>

#include "site/byte_view.h"

namespace calltap::site {
namespace {

using base::ErrorCode;
using base::LinkAddress;

// DW_EH_PE_*: Linux Standard Base, "DWARF Extensions", pointer encodings.
constexpr std::uint8_t kEncodingOmit = 0xff;
constexpr std::uint8_t kFormatMask = 0x0f;
constexpr std::uint8_t kBaseMask = 0x70;
constexpr std::uint8_t kIndirect = 0x80;
enum Format : std::uint8_t {
  kAbsolute = 0,
  kUdata2 = 2,
  kUdata4 = 3,
  kUdata8 = 4,
  kSdata2 = 10,
  kSdata4 = 11,
  kSdata8 = 12
};
enum Base : std::uint8_t { kBaseNone = 0, kBasePc = 0x10, kBaseData = 0x30 };

/// A cursor over a section. After a failed read every later one fails too.
class Reader {
 public:
  Reader(const Section& section, std::uint64_t at) : section_(&section), at_(at) {}

  template <class T>
  T take() {
    T value{};
    if (!read_at(section_->bytes, at_, value)) {
      at_ = section_->bytes.size() + 1;
      return T{};
    }
    at_ += sizeof(T);
    return value;
  }
  std::uint64_t take_leb128() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = take<std::uint8_t>();
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) break;
    }
    return value;
  }
  /// Empty for encodings that no compiler uses for code addresses.
  std::optional<std::uint64_t> take_pointer(std::uint8_t encoding) {
    const std::uint64_t field = section_->address.value + at_;
    std::uint64_t base = 0;
    switch (encoding & kBaseMask) {
      case kBaseNone:
        break;
      case kBasePc:
        base = field;
        break;
      case kBaseData:
        base = section_->address.value;
        break;
      default:
        return std::nullopt;
    }
    if ((encoding & kIndirect) != 0) return std::nullopt;
    const auto value = take_number(encoding & kFormatMask);
    if (!value || !ok()) return std::nullopt;
    return base + *value;
  }
  void skip(std::uint64_t bytes) {
    at_ = bytes > section_->bytes.size() ? section_->bytes.size() + 1 : at_ + bytes;
  }
  [[nodiscard]] bool ok() const { return at_ <= section_->bytes.size(); }
  [[nodiscard]] std::uint64_t at() const { return at_; }

 private:
  std::optional<std::uint64_t> take_number(std::uint8_t format) {
    switch (format) {
      case kAbsolute:
      case kUdata8:
      case kSdata8:
        return take<std::uint64_t>();
      case kUdata4:
        return take<std::uint32_t>();
      case kSdata4:
        return static_cast<std::uint64_t>(std::int64_t{take<std::int32_t>()});
      case kUdata2:
        return take<std::uint16_t>();
      case kSdata2:
        return static_cast<std::uint64_t>(std::int64_t{take<std::int16_t>()});
      default:
        return std::nullopt;
    }
  }

  const Section* section_;
  std::uint64_t at_;
};

/// How the frame descriptions of the CIE whose version byte is at `at` encode addresses.
std::uint8_t code_encoding(const Section& section, std::uint64_t at) {
  Reader reader(section, at);
  const auto version = reader.take<std::uint8_t>();
  const std::string_view augmentation = text_at(section.bytes, reader.at());
  reader.skip(augmentation.size() + 1);
  if (!augmentation.starts_with('z')) return augmentation.empty() ? std::uint8_t{kAbsolute} : kEncodingOmit;
  reader.take_leb128();  // code alignment
  reader.take_leb128();  // data alignment
  if (version == 1) {
    reader.take<std::uint8_t>();  // return address register
  } else {
    reader.take_leb128();
  }
  reader.take_leb128();  // length of the augmentation data
  for (const char c : augmentation) {
    if (c == 'R') return reader.ok() ? reader.take<std::uint8_t>() : kEncodingOmit;
    if (c == 'L') reader.take<std::uint8_t>();
    if (c == 'P') {
      const auto encoding = reader.take<std::uint8_t>();
      if (!reader.take_pointer(encoding & static_cast<std::uint8_t>(~kIndirect))) return kEncodingOmit;
    }
  }
  return kAbsolute;
}

base::Result<void> append_from_frames(const Section& section, base::Array<LinkAddress>& starts) {
  std::uint64_t known_cie = section.bytes.size();
  std::uint8_t encoding = kEncodingOmit;
  for (Reader reader(section, 0); reader.ok() && reader.at() < section.bytes.size();) {
    std::uint64_t length = reader.take<std::uint32_t>();
    if (length == 0) continue;  // terminator of one input file
    if (length == 0xffffffff) length = reader.take<std::uint64_t>();
    const std::uint64_t id_at = reader.at();
    const auto id = reader.take<std::uint32_t>();
    if (id != 0 && reader.ok() && id <= id_at) {
      if (const std::uint64_t cie = id_at - id; cie != known_cie) {
        known_cie = cie;
        // The CIE starts with its own length and id.
        encoding = code_encoding(section, cie + 8);
      }
      const auto start = encoding == kEncodingOmit ? std::nullopt : reader.take_pointer(encoding);
      if (start && !starts.push_back(LinkAddress(*start))) return ErrorCode::kOutOfMemory;
    }
    if (length > section.bytes.size() || !reader.ok()) break;
    reader = Reader(section, id_at + length);
  }
  return {};
}

/// False if the section holds no table that can be read.
base::Result<bool> append_from_table(const Section& section, base::Array<LinkAddress>& starts) {
  Reader reader(section, 0);
  const auto version = reader.take<std::uint8_t>();
  const auto frame_encoding = reader.take<std::uint8_t>();
  const auto count_encoding = reader.take<std::uint8_t>();
  const auto table_encoding = reader.take<std::uint8_t>();
  if (version != 1 || count_encoding == kEncodingOmit || table_encoding == kEncodingOmit) return false;
  if (frame_encoding != kEncodingOmit && !reader.take_pointer(frame_encoding)) return false;
  const auto count = reader.take_pointer(count_encoding);
  if (!count || *count == 0) return false;
  for (std::uint64_t i = 0; i < *count; ++i) {
    const auto start = reader.take_pointer(table_encoding);
    if (!start || !reader.take_pointer(table_encoding)) break;
    if (!starts.push_back(LinkAddress(*start))) return ErrorCode::kOutOfMemory;
  }
  return true;
}

}  // namespace

base::Result<void> append_frame_starts(const ElfFile& file, base::Array<LinkAddress>& starts) {
  if (const Section* table = file.section(".eh_frame_hdr"); table != nullptr) {
    auto appended = append_from_table(*table, starts);
    if (!appended) return appended.error();
    if (*appended) return {};
  }
  const Section* frames = file.section(".eh_frame");
  return frames == nullptr ? base::Result<void>() : append_from_frames(*frames, starts);
}

}  // namespace calltap::site
