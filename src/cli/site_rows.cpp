#include "cli/site_rows.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <array>
#include <cstdlib>

#include "plan/plan.h"
#include "plan/word_plan.h"
#include "site/demangler.h"
#include "site/sites.h"
#include "site/symbols.h"
#include "trace/printable.h"

namespace calltap::cli {
namespace {

/// As the compiler's option has it: NOPs in all, NOPs before the entry. On x86-64 those are bytes.
std::string layout_of(site::Machine machine, const site::Site& site) {
  if (site.entry_bytes == 0 && site.pad_bytes == 0) return "-";
  const bool is_x86 = machine == site::Machine::kX86_64;
  const unsigned unit = is_x86 || site.first_nop_bytes == 0 ? 1 : site.first_nop_bytes;
  std::string layout = std::to_string((site.pad_bytes + site.entry_bytes) / unit);
  if (site.pad_bytes != 0) layout += fmt::format(",{}", site.pad_bytes / unit);
  if (site.landing_pad_bytes != 0) layout += is_x86 ? "+endbr" : "+bti";
  return layout;
}

struct Way {
  plan::Method method;
  site::SiteProblem problem;
  bool may_call = false;  // as well, if the site's first client suits that
};

Way way_to_patch(const site::ElfFile& file, const site::Site& site) {
  const auto bytes = file.at(site.unit, site.entry_bytes);
  if (file.machine() == site::Machine::kX86_64) {
    const plan::SitePlan plan = plan::classify(site, bytes, file.is_fixed_position());
    return {plan.method, plan.problem};
  }
  const bool is_guarded = file.needs_landing_pads();  // calls leave no room for the body's landing pad
  const plan::WordPlan plan = plan::classify_words(file.machine(), site, bytes, is_guarded);
  const bool may_call = plan.call.method == plan::Method::kCall && !is_guarded;
  return {plan.jump.method, plan.jump.problem, may_call};
}

}  // namespace

void append_sites(const SourceModule& module, std::vector<SiteRow>& rows) {
  auto sites = site::discover(module.file);
  if (!sites) throw SourceError(fmt::format("{}: {}", module.path, base::text(sites.error().code)));
  if (sites->empty()) return;
  auto symbols = site::SymbolTable::load(module.file, "/usr/lib/debug", module.path.c_str());
  if (!symbols) throw SourceError(fmt::format("{}: {}", module.path, base::text(symbols.error().code)));
  site::Demangler demangler(abi::__cxa_demangle, std::free);
  std::array<char, 512> buffer;
  for (const site::Site& site : *sites) {
    const Way way = way_to_patch(module.file, site);
    const std::string_view symbol = site::function_name(*symbols, module.name, site.entry, buffer);
    SiteRow row;
    row.symbol = trace::printable(std::string(symbol));
    row.function = trace::printable(std::string(demangler.demangle(symbol)));
    row.module = module.name;
    row.address = base::to_target(site.entry, module.load_bias).value;
    row.layout = layout_of(module.file.machine(), site);
    row.method = plan::name(way.method);
    if (way.may_call) row.method += fmt::format("+{}", plan::name(plan::Method::kCall));
    if (way.method == plan::Method::kNone) row.problem = site::text(way.problem);
    rows.push_back(std::move(row));
  }
}

}  // namespace calltap::cli
