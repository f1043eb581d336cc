// list_enabled_functions(): who is attached where, as text.
#include "ops/direct_calls.h"
#include "ops/engine.h"
#include "ops/open_modules.h"
#include "ops/transaction.h"

namespace calltap::ops {

using trampoline::SiteRecord;

namespace {

class Line {
 public:
  Line(void (*sink)(void*, std::string_view), void* context) : sink_(sink), context_(context) {}
  void put(std::string_view text) { sink_(context_, text); }
  void put_number(std::uint64_t value) {
    char digits[20];
    std::size_t at = sizeof digits;
    do digits[--at] = static_cast<char>('0' + value % 10);
    while ((value /= 10) != 0);
    put({digits + at, sizeof digits - at});
  }

 private:
  void (*sink_)(void*, std::string_view);
  void* context_;
};

void put_client(Line& line, const ct_ops& client) {
  line.put(" ");
  line.put(client.name[0] != '\0' ? client.name : client.is_recorder ? "recorder" : "-");
}

void put_function(const Module& module, const SiteRecord& record, void (*put)(void*, std::string_view),
                  void* context) {
  const SpecialSite* special = find_special(record);
  const ct_ops* direct = special == nullptr ? nullptr : special->direct;
  const ct_ops* redirect = special == nullptr ? nullptr : special->redirect;
  const bool replaced = redirect != nullptr && redirect->role == Role::kRedirect;
  const std::uint32_t count = record.set->count + (direct != nullptr ? 1 : 0) + (replaced ? 1 : 0);
  if (count == 0) return;
  bool saves_all = false;
  for (std::uint32_t i = 0; i < record.set->count; ++i) {
    const auto& client = static_cast<const ct_ops&>(*record.set->members()[i].client);
    saves_all = saves_all || ((client.flags & CT_GENERAL_REGS_ONLY) == 0 && !client.is_recorder);
  }
  Line line(put, context);
  char buffer[512];
  line.put(module.function_name(record.entry, buffer));
  line.put(" [");
  line.put(module.name());
  line.put("] (");
  line.put_number(count);
  line.put(")");
  line.put(saves_all ? " R" : "  ");
  line.put(redirect != nullptr ? " I" : "  ");
  line.put(direct != nullptr ? " D" : "  ");
  line.put(count == 1 ? " O" : "  ");
  line.put(special != nullptr && special->was_modified ? " M" : "  ");
  for (std::uint32_t i = 0; i < record.set->count; ++i) {
    put_client(line, static_cast<const ct_ops&>(*record.set->members()[i].client));
  }
  if (direct != nullptr) put_client(line, *direct);
  if (replaced) put_client(line, *redirect);
  line.put("\n");
}

}  // namespace

void list_enabled_functions(void (*put)(void* context, std::string_view text), void* context) {
  const OpenModules open;
  for (Module* m = first_module(); m != nullptr; m = m->next) {
    if (m->patch.size() == 0 || !open_module(*m)) continue;
    m->patch.for_each([&](SiteRecord& record) { put_function(*m, record, put, context); });
  }
}

}  // namespace calltap::ops
