#include "dispatch_kinds.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

static const struct DispatchKind kKinds[] = {
    {"off", ""},
    {"entry", "e"},
    {"entry with vectors", "E"},
    {"entries", "ee"},
    {"entries with vectors", "eE"},
    {"probe", "p"},
    {"probe with vectors", "P"},
    {"exit only", "x"},
    {"exit only with vectors", "X"},
    {"probes", "pp"},
    {"probes with vectors", "pP"},
    {"list", "epxep"},
    {"list with vectors", "EpXPe"},
    {"direct", "d"},
    {"direct and entry", "de"},
    {"direct and entry with vectors", "dE"},
    {"direct and probe", "dp"},
    {"direct and probe with vectors", "dP"},
    {"direct and list", "depxp"},
    {"direct and list with vectors", "dEPxp"},
    {"redirect", "r"},
    {"redirect and entry", "re"},
    {"redirect and entry with vectors", "rE"},
    {"redirect and probe", "rp"},
    {"redirect and probe with vectors", "rP"},
    {"redirect and list with vectors", "rEPxp"},
    {"redirect and direct", "rd"},
    {"redirect, direct and probe", "rdp"},
    {"redirect, direct and list with vectors", "rdEPxp"},
    {"set ip", "i"},
    {"set ip with vectors", "I"},
    {"set ip and probe", "ip"},
    {"set ip and probe with vectors", "PI"},
    {"set ip and direct", "id"},
    {"set ip, direct and list with vectors", "diePx"},
    {"override", "o"},
    {"override with vectors", "O"},
    {"override and probe", "op"},
    {"override and probe with vectors", "OP"},
    {"override and direct", "od"},
    {"override, direct and probe with vectors", "dPO"},
    {"override and redirect", "ro"},
    {"override, redirect and probe with vectors", "prO"},
    {"override and list with vectors", "EpoPx"},
};

void for_each_dispatch_kind(void (*check)(const struct DispatchKind* kind)) {
  for (size_t i = 0; i < sizeof kKinds / sizeof *kKinds; ++i) {
    printf("  %s\n", kKinds[i].name);
    fflush(stdout);
    check(&kKinds[i]);
  }
}

int is_overridden(const struct DispatchKind* kind) { return strpbrk(kind->clients, "oO") != NULL; }

static ct_ops* new_client(char letter, const struct DispatchClients* clients) {
  const int with_vectors = isupper((unsigned char)letter);
  const unsigned flags = with_vectors ? 0 : CT_GENERAL_REGS_ONLY;
  const struct DispatchHandlers* handlers = with_vectors ? &clients->vectors : &clients->general;
  switch (tolower((unsigned char)letter)) {
    case 'e':
      return ct_new_callback(handlers->entry, NULL, flags);
    case 'p':
      return ct_new_probe(handlers->probe_entry, handlers->probe_exit, CT_DATA_MAX, NULL, flags);
    case 'x':
      return ct_new_probe(NULL, handlers->probe_exit, CT_DATA_MAX, NULL, flags);
    case 'i':
      return ct_new_callback(clients->set_ip, NULL, flags | CT_IPMODIFY);
    case 'o':
      return ct_new_callback(clients->override_return, NULL, flags);
    default:
      return ct_new_ops(NULL, 0);
  }
}

static int register_client(char letter, ct_ops* ops, const struct DispatchClients* clients) {
  if (letter == 'd') return ct_register_direct(ops, clients->direct);
  if (letter == 'r') return ct_register_redirect(ops, clients->replacement);
  return ct_register_ops(ops);
}

void attach_kind(const struct DispatchKind* kind, uint64_t ip, const struct DispatchClients* clients,
                 ct_ops* ops[kMostDispatchClients]) {
  for (size_t i = 0; kind->clients[i] != '\0'; ++i) {
    ops[i] = new_client(kind->clients[i], clients);
    CHECK_OK(ct_set_filter_ip(ops[i], ip, 0, 1));
    CHECK_OK(register_client(kind->clients[i], ops[i], clients));
  }
}

void detach_kind(const struct DispatchKind* kind, ct_ops* ops[kMostDispatchClients], uint64_t hits) {
  for (size_t i = 0; kind->clients[i] != '\0'; ++i) {
    if (strchr("dr", kind->clients[i]) == NULL) CHECK_EQUAL(ct_ops_hits(ops[i]), hits);
    CHECK_EQUAL(ct_ops_missed(ops[i]), 0);
    CHECK_OK(ct_free_ops(ops[i]));
  }
}
