#include "ops/left_out.h"

#include <algorithm>
#include <utility>

#include "ops/transaction.h"

namespace calltap::ops {
namespace {

using base::Array;
using base::ErrorCode;
using base::Result;
using trampoline::SiteRecord;

LeftOut* find(Array<LeftOut>& all, std::uint32_t function) {
  LeftOut* const found =
      std::lower_bound(all.begin(), all.end(), function,
                       [](const LeftOut& entry, std::uint32_t number) { return entry.function < number; });
  return found != all.end() && found->function == function ? found : nullptr;
}

/// Those in one of the lists alone, ascending.
Result<void> differences(Array<LeftOut>& before, Array<LeftOut>& after, Array<std::uint32_t>& changed) {
  if (!changed.reserve(before.size() + after.size())) return ErrorCode::kOutOfMemory;
  for (const LeftOut& entry : before) {
    if (find(after, entry.function) == nullptr) static_cast<void>(changed.push_back(entry.function));
  }
  for (const LeftOut& entry : after) {
    if (find(before, entry.function) == nullptr) static_cast<void>(changed.push_back(entry.function));
  }
  std::sort(changed.begin(), changed.end());
  return {};
}

bool has_any(const Module& module, std::span<const std::uint32_t> functions) {
  const auto first = std::lower_bound(functions.begin(), functions.end(), module.first_function);
  return first != functions.end() && *first - module.first_function < module.site_count;
}

}  // namespace

LeftOut* find_left_out(ct_ops& client, std::uint32_t function) {
  return client.left_out.empty() ? nullptr : find(client.left_out, function);
}

Result<void> leave_out(ct_ops& client, std::span<const std::uint32_t> functions, Failure& failure) {
  Array<LeftOut> after;
  if (!after.reserve(functions.size())) return ErrorCode::kOutOfMemory;
  for (const std::uint32_t function : functions) {
    const LeftOut* const before = find_left_out(client, function);
    static_cast<void>(after.push_back({function, before != nullptr && before->is_selected}));
  }
  if (client.state == ClientState::kRegistered) {
    Array<std::uint32_t> changed;
    if (auto found = differences(client.left_out, after, changed); !found) return found;
    Transaction transaction(client, failure);
    Result<void> done;
    for (Module* m = first_module(); m != nullptr; m = m->next) {
      if (!has_any(*m, changed)) continue;
      m->patch.for_each([&](SiteRecord& record) {
        if (!done || !std::binary_search(changed.begin(), changed.end(), function_of(record))) return;
        if (LeftOut* const leaving = find(after, function_of(record))) {
          leaving->is_selected = has_client(record, client);
          if (leaving->is_selected) done = transaction.remove(*m, record);
        } else if (find_left_out(client, function_of(record))->is_selected) {
          done = transaction.add(*m, record);
        }
      });
      if (!done) return done;
    }
    if (auto published = transaction.publish(); !published) return published;
  }
  client.left_out = std::move(after);
  return {};
}

void forget_left_out(ct_ops& client, const Module& module) {
  LeftOut* const end = std::remove_if(
      client.left_out.begin(), client.left_out.end(),
      [&module](const LeftOut& entry) { return entry.function - module.first_function < module.site_count; });
  while (client.left_out.end() != end) client.left_out.pop_back();
}

}  // namespace calltap::ops
