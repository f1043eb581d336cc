#include "trace/damage.h"

namespace calltap::trace {
namespace {

struct Words {
  std::string_view name;
  std::string_view text;
};

constexpr std::array<Words, kDamageKinds> kWords = {{
    {"truncated", "truncated stream"},
    {"bad_header", "corrupt packet header"},
    {"bad_event", "corrupt event"},
    {"unknown_function", "unknown function number"},
    {"time_backwards", "time going backwards"},
    {"sequence", "packet out of sequence"},
    {"unreadable", "unreadable stream"},
}};

}  // namespace

std::string_view text(DamageKind kind) { return kWords[static_cast<std::size_t>(kind)].text; }
std::string_view name(DamageKind kind) { return kWords[static_cast<std::size_t>(kind)].name; }

}  // namespace calltap::trace
