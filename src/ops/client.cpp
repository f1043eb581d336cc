#include "ops/client.h"

#include <algorithm>
#include <new>

#include "isa/system.h"
#include "trampoline/guards.h"

namespace calltap::ops {

namespace {

ct_ops* clients = nullptr;
std::size_t used = 0;  // places that have ever been used

}  // namespace

std::span<ct_ops> all_clients() { return {clients, used}; }

ct_ops* new_client() {
  if (clients == nullptr) {
    clients = static_cast<ct_ops*>(isa::map_memory(trampoline::kMaxClients * sizeof(ct_ops), MAP_NORESERVE));
    if (clients == nullptr) return nullptr;
  }
  ct_ops* client =
      std::find_if(clients, clients + used, [](const ct_ops& c) { return c.state == ClientState::kUnused; });
  if (client == clients + used) {
    // Counters of index 0 are the lists'.
    if (used + 1 == trampoline::kMaxClients) return nullptr;
    client = new (clients + used) ct_ops;
    client->index = ++used;
  }
  client->state = ClientState::kIdle;
  client->counted_before = trampoline::sum_counters(*client);
  return client;
}

void free_client(ct_ops& client) {
  client.filter = FunctionFilter();
  client.failed_modules.clear();
  client.refused_functions = {};
  client.name[0] = '\0';
  client.state = ClientState::kUnused;
}

}  // namespace calltap::ops
