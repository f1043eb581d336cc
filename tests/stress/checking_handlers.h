// Handlers that know what they have to see. There are two sets of the same ones: compiled as usual, and with
// general registers only.
#pragma once

#include <cstdint>

#include "calltap/calltap.h"

namespace checking {

/// What a client owns. Nobody may touch it after the client's unregister has returned: its page is protected
/// then.
struct Client {
  ct_ops* ops;
  std::uint64_t entries;
  std::uint64_t exits;
  std::uint64_t cancelled;
};

/// How often handlers saw what they must not see, by reason.
enum Mistake {
  kForeignOps,
  kUnknownFunction,
  kWrongArgument,
  kForeignData,
  kWrongResult,
  kWrongEnd,
  kMistakes
};
extern std::uint64_t mistakes[kMistakes];

#define CHECKING_HANDLERS                                                                          \
  void on_call(std::uint64_t ip, std::uint64_t parent_ip, ct_ops* ops, ct_regs* regs);             \
  int on_entry(std::uint64_t ip, std::uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data); \
  void on_exit(std::uint64_t ip, std::uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data);
namespace with_vectors {
CHECKING_HANDLERS
}
namespace general {
CHECKING_HANDLERS
}

}  // namespace checking
