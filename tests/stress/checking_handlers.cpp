#include "checking_handlers.h"

#include "large_structures.h"
#include "worked_functions.h"

using namespace worked;

#ifndef GENERAL_REGISTERS_ONLY
#define HANDLERS with_vectors
namespace checking {
std::uint64_t mistakes[kMistakes];
}
#else
#define HANDLERS general
#endif

namespace checking::HANDLERS {
namespace {

void count(std::uint64_t& counter) { __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED); }
void require(bool condition, Mistake mistake) {
  if (!condition) count(mistakes[mistake]);
}

struct Call {
  Client* client;
  Kind kind;
  std::uint64_t x;
};

Call check_call(std::uint64_t ip, ct_ops* ops, const ct_regs* regs) {
  ordered_after(ops);
  Call call = {static_cast<Client*>(ct_ops_user(ops)), kRecursive, 0};
  require(call.client->ops == ops, kForeignOps);
  count(call.client->entries);
  const int index = index_of(ip);
  require(index >= 0, kUnknownFunction);
  call.kind = static_cast<Kind>(index / kOfAKind);
  call.x = ct_regs_argument(regs, call.kind == kLarge ? kFirstArgument : 0);
  const int arguments = call.kind == kInteger ? 5 : call.kind == kStack ? 8 : call.kind == kSmall ? 1 : 0;
  for (int i = 1; i <= arguments; ++i) {
    require(ct_regs_argument(regs, static_cast<unsigned>(i)) == argument(call.x, i), kWrongArgument);
  }
  for (unsigned i = 0; call.kind == kLarge && i < 8; ++i) {
    require(large_argument(regs, i) == argument(call.x, static_cast<int>(i)), kWrongArgument);
  }
#ifndef GENERAL_REGISTERS_ONLY
  for (unsigned i = 0; call.kind == kFloating && i < 8; ++i) {
    require(ct_regs_double_argument(regs, i) == floating(call.x, static_cast<int>(i) + 1), kWrongArgument);
  }
#endif
  return call;
}

void check_result(Kind kind, std::uint64_t x, const ct_regs* regs) {
  if (kind == kLarge) {
    const std::uint64_t* words = large_result(regs);
    for (int i = 0; words != nullptr && i < 8; ++i) require(words[i] == (argument(x, i) ^ x), kWrongResult);
  } else if (kind == kFloating) {
#ifndef GENERAL_REGISTERS_ONLY
    require(ct_regs_double_return_value(regs) == 8 * floating(x, 0) + 18, kWrongResult);
#endif
  } else {
    require(ct_regs_return_value(regs) == result(kind, x), kWrongResult);
  }
}

}  // namespace

void on_call(std::uint64_t ip, std::uint64_t /*parent_ip*/, ct_ops* ops, ct_regs* regs) {
  check_call(ip, ops, regs);
  ordered_before(ops);
}

/// Every sixteenth call's exit is not wanted.
int on_entry(std::uint64_t ip, std::uint64_t /*parent_ip*/, ct_ops* ops, ct_regs* regs, void* data) {
  const Call call = check_call(ip, ops, regs);
  ordered_after(data);  // another thread's, until this one was given it
  auto* words = static_cast<std::uint64_t*>(data);
  require(words[0] == 0 && words[1] == 0 && words[3] == 0, kForeignData);
  words[0] = call.x;
  words[1] = reinterpret_cast<std::uint64_t>(ops);
  words[3] = ip;
  const bool is_cancelled = argument(call.x, 0) >> 60 == 0;
  if (is_cancelled) count(call.client->cancelled);
  ordered_before(data);
  ordered_before(ops);
  return is_cancelled ? 1 : 0;
}

void on_exit(std::uint64_t ip, std::uint64_t /*parent_ip*/, ct_ops* ops, ct_regs* regs, void* data) {
  ordered_after(ops);
  ordered_after(data);
  auto* client = static_cast<Client*>(ct_ops_user(ops));
  const auto* words = static_cast<const std::uint64_t*>(data);
  require(client->ops == ops, kForeignOps);
  count(client->exits);
  require(words[1] == reinterpret_cast<std::uint64_t>(ops) && words[3] == ip, kForeignData);
  const auto kind = static_cast<Kind>(index_of(ip) / kOfAKind);
  require((ct_regs_unwound(regs) != 0) == (kind == kThrowing && throws(words[0])), kWrongEnd);
  if (ct_regs_unwound(regs) == 0) check_result(kind, words[0], regs);
  ordered_before(data);
  ordered_before(ops);
}

}  // namespace checking::HANDLERS
