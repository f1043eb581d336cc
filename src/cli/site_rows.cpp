#include "cli/site_rows.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <array>
#include <cstdlib>

#include "plan/plan.h"
#include "site/demangler.h"
#include "site/sites.h"
#include "site/symbols.h"

namespace calltap::cli {
namespace {

/// As the compiler's option has it: total bytes, pad bytes.
std::string layout_of(const site::Site& site) {
  if (site.entry_bytes == 0 && site.pad_bytes == 0) return "-";
  std::string layout = std::to_string(site.pad_bytes + site.entry_bytes);
  if (site.pad_bytes != 0) layout += fmt::format(",{}", site.pad_bytes);
  if (site.landing_pad_bytes != 0) layout += "+endbr";
  return layout;
}

}  // namespace

void append_sites(const SourceModule& module, std::vector<SiteRow>& rows) {
  auto sites = site::discover(module.file);
  if (!sites) throw SourceError(fmt::format("{}: {}", module.path, base::text(sites.error().code)));
  if (sites->empty()) return;
  // Sites are found on every machine, ways to patch them only planned on this one yet.
  if (module.file.machine() != site::Machine::kX86_64) {
    throw SourceError(fmt::format("{}: {}", module.path, base::text(base::ErrorCode::kElfForeignMachine)));
  }
  auto symbols = site::SymbolTable::load(module.file, "/usr/lib/debug", module.path.c_str());
  if (!symbols) throw SourceError(fmt::format("{}: {}", module.path, base::text(symbols.error().code)));
  site::Demangler demangler(abi::__cxa_demangle, std::free);
  std::array<char, 512> buffer;
  for (const site::Site& site : *sites) {
    const plan::SitePlan plan =
        plan::classify(site, module.file.at(site.unit, site.entry_bytes), module.file.is_fixed_position());
    const std::string_view symbol = site::function_name(*symbols, module.name, site.entry, buffer);
    SiteRow row;
    row.symbol = symbol;
    row.function = demangler.demangle(row.symbol);
    row.module = module.name;
    row.address = base::to_target(site.entry, module.load_bias).value;
    row.layout = layout_of(site);
    row.method = plan::name(plan.method);
    if (plan.method == plan::Method::kNone) row.problem = site::text(plan.problem);
    rows.push_back(std::move(row));
  }
}

}  // namespace calltap::cli
