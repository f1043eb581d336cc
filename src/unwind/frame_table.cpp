#include "unwind/frame_table.h"

namespace calltap::unwind {
namespace {

/// From `address` to the end of the memory that it is in.
ByteCursor cursor_at(const Range& memory, std::uint64_t address) {
  if (!memory.contains(address)) return {};
  return {{reinterpret_cast<const std::uint8_t*>(address), static_cast<std::size_t>(memory.end - address)},
          address};
}

struct Header {
  std::uint64_t frames = 0;
  std::uint64_t count = 0;
  std::uint64_t table = 0;
};

bool read_header(const Tables& tables, Header& header) {
  // A sorted table of (function, description), each 4 bytes relative to the header: what all linkers write.
  constexpr std::uint8_t kTableEncoding = 0x3B;
  constexpr std::uint8_t kOmitted = 0xFF;
  ByteCursor cursor = cursor_at(tables.header_memory, tables.header);
  if (cursor.fixed<std::uint8_t>() != 1) return false;
  const auto frame_encoding = cursor.fixed<std::uint8_t>();
  const auto count_encoding = cursor.fixed<std::uint8_t>();
  if (cursor.fixed<std::uint8_t>() != kTableEncoding || count_encoding == kOmitted) return false;
  header.frames = cursor.encoded(frame_encoding, tables.header);
  header.count = cursor.encoded(count_encoding, tables.header);
  header.table = cursor.address();
  return cursor.ok();
}

struct TableEntry {
  std::int32_t function;
  std::int32_t description;
};

TableEntry entry_at(std::uint64_t table, std::uint64_t index) {
  TableEntry entry;
  __builtin_memcpy(&entry, reinterpret_cast<const void*>(table + index * sizeof entry), sizeof entry);
  return entry;
}

/// A CIE or FDE: its length and what follows.
bool read_entry(const Range& memory, std::uint64_t address, Entry& entry) {
  ByteCursor cursor = cursor_at(memory, address);
  const auto length = cursor.fixed<std::uint32_t>();
  ByteCursor bytes = cursor.block(length);
  entry.bytes = {bytes.here(), static_cast<std::size_t>(bytes.bytes_left())};
  entry.address = bytes.address();
  return cursor.ok() && length >= sizeof length;
}

}  // namespace

std::uint64_t frame_section(const Tables& tables) {
  Header header;
  return read_header(tables, header) ? header.frames : 0;
}

bool find_description(const Tables& tables, std::uint64_t address, Description& description) {
  Header header;
  if (!read_header(tables, header)) return false;
  if (header.count > (tables.header_memory.end - header.table) / sizeof(TableEntry)) return false;
  const auto wanted = static_cast<std::int64_t>(address - tables.header);
  std::uint64_t below = 0;  // entries that begin at or before the address
  for (std::uint64_t rest = header.count; rest > 0;) {
    const std::uint64_t half = rest / 2;
    if (entry_at(header.table, below + half).function <= wanted) {
      below += half + 1;
      rest -= half + 1;
    } else {
      rest = half;
    }
  }
  if (below == 0) return false;
  const std::int64_t offset = entry_at(header.table, below - 1).description;
  Entry function;
  if (!read_entry(tables.frame_memory, tables.header + static_cast<std::uint64_t>(offset), function))
    return false;
  const std::uint64_t common_at = common_entry_of(function);
  Entry common;
  if (common_at == 0 || !read_entry(tables.frame_memory, common_at, common)) return false;
  return read_description(common, function, description) && address >= description.begin &&
         address < description.end;
}

}  // namespace calltap::unwind
