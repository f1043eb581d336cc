#include "site/debug_file.h"

#include <limits.h>

#include <algorithm>
#include <array>

#include "site/byte_view.h"

namespace calltap::site {
namespace {

using base::ErrorCode;

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320u : 0);
    table[i] = value;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const std::uint8_t byte : bytes) crc = kCrcTable[(crc ^ byte) & 0xff] ^ (crc >> 8);
  return ~crc;
}

/// A path put together in place; null when it does not fit.
class Path {
 public:
  Path& operator<<(std::string_view part) {
    const std::size_t room = text_.size() - 1 - used_;
    complete_ = complete_ && part.size() <= room;
    std::copy_n(part.begin(), complete_ ? part.size() : 0,
                text_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += complete_ ? part.size() : 0;
    text_[used_] = '\0';
    return *this;
  }
  Path& hex(std::span<const std::uint8_t> bytes) {
    for (const std::uint8_t byte : bytes) {
      const char digits[] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
      *this << std::string_view(digits, 2);
    }
    return *this;
  }
  [[nodiscard]] const char* text() const { return complete_ ? text_.data() : nullptr; }

 private:
  std::array<char, PATH_MAX> text_{};
  std::size_t used_ = 0;
  bool complete_ = true;
};

/// What .gnu_debuglink says: a file name, and the CRC of the file's contents.
struct DebugLink {
  std::string_view name;
  std::uint32_t crc = 0;
};

DebugLink read_link(const ElfFile& file) {
  const Section* section = file.section(".gnu_debuglink");
  if (section == nullptr) return {};
  DebugLink link{text_at(section->bytes, 0)};
  const bool plain_name = !link.name.empty() && link.name.find('/') == std::string_view::npos;
  if (!plain_name || !read_at(section->bytes, (link.name.size() + 1 + 3) / 4 * 4, link.crc)) return {};
  return link;
}

/// `crc` is null for a file found by build-id.
base::Result<ElfFile> open_matching(const Path& path, const ElfFile& module, const std::uint32_t* crc) {
  if (path.text() == nullptr) return ErrorCode::kFileOpen;
  auto debug = ElfFile::open(path.text());
  if (!debug) return debug;
  const bool same = !module.build_id().empty() ? std::ranges::equal(module.build_id(), debug->build_id())
                                               : crc != nullptr && crc32(debug->bytes()) == *crc;
  if (!same || debug->machine() != module.machine()) return ErrorCode::kBuildIdMismatch;
  return debug;
}

std::string_view directory_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  path.remove_suffix(path.size() - slash);
  return path;
}

}  // namespace

base::Result<ElfFile> find_debug_file(const ElfFile& file, const char* debug_root, const char* module_path) {
  base::Result<ElfFile> best = ErrorCode::kFileOpen;
  const auto attempt = [&](const Path& path, const std::uint32_t* crc) {
    auto found = open_matching(path, file, crc);
    if (found.ok() || found.error().code == ErrorCode::kBuildIdMismatch) best = std::move(found);
    return best.ok();
  };
  if (const auto id = file.build_id(); id.size() >= 2) {
    Path path;
    path << debug_root << "/.build-id/";
    path.hex(id.first(1)) << "/";
    path.hex(id.subspan(1)) << ".debug";
    if (attempt(path, nullptr)) return best;
  }
  const DebugLink link = read_link(file);
  if (link.name.empty()) return best;
  const std::string_view directory = directory_of(module_path != nullptr ? module_path : file.path());
  for (const std::string_view between : {"/", "/.debug/"}) {
    Path path;
    path << directory << between << link.name;
    if (attempt(path, &link.crc)) return best;
  }
  Path path;
  path << debug_root << (directory.starts_with('/') ? "" : "/") << directory << "/" << link.name;
  attempt(path, &link.crc);
  return best;
}

}  // namespace calltap::site
