#include "ops/selection.h"

#include <algorithm>
#include <cstdlib>

#include "ops/suggestions.h"
#include "ops/transaction.h"
#include "site/demangler.h"
#include "site/imports.h"

namespace calltap::ops {
namespace {

using base::Array;
using base::Error;
using base::ErrorCode;
using base::Result;

/// Asks the matcher about functions of a module.
class Questions {
 public:
  explicit Questions(const Matcher& matcher)
      : matcher_(matcher), demangler_(demangle_function(), std::free) {}
  bool selects(std::string_view symbol, std::uint64_t entry) {
    filter::FunctionName function{{}, symbol, symbol};
    if (matcher_.needs_signature()) function.signature = demangler_.demangle(symbol);
    return matcher_.selects(function, entry);
  }

 private:
  const Matcher& matcher_;
  site::Demangler demangler_;
};

Result<void> select_among_all(const Module& module, const Matcher& matcher, Array<std::uint32_t>& selected) {
  Questions questions(matcher);
  site::NamesInOrder names(module.symbols, module.name());
  for (std::uint32_t i = 0; i < module.sites.size(); ++i) {
    const std::string_view symbol =
        matcher.needs_symbol() ? names.name_of(module.sites[i].entry) : std::string_view();
    if (!questions.selects(symbol, module.entry_of(module.sites[i]))) continue;
    if (!selected.push_back(i)) return ErrorCode::kOutOfMemory;
  }
  return {};
}

Result<void> find_named(Module& module, const Matcher& matcher, Array<std::uint32_t>& found) {
  bool added = true;
  for (const std::uint64_t address : matcher.addresses()) {
    for (const site::Site& site : module.sites_at(address)) {
      added = added && found.push_back(static_cast<std::uint32_t>(&site - module.sites.data()));
    }
  }
  Result<void> done;
  matcher.for_each_symbol([&](std::string_view symbol) {
    auto names = name_index(module);
    if (!names) {
      done = names.error();
      return;
    }
    (*names)->for_each_candidate(symbol, [&](std::uint32_t i) { added = added && found.push_back(i); });
  });
  if (done && !added) done = ErrorCode::kOutOfMemory;
  return done;
}

Result<void> select_among_named(Module& module, const Matcher& matcher, Array<std::uint32_t>& selected) {
  Array<std::uint32_t> found;
  if (auto done = find_named(module, matcher, found); !done) return done;
  std::sort(found.begin(), found.end());
  Questions questions(matcher);
  char buffer[512];
  for (std::size_t k = 0; k < found.size(); ++k) {
    if (k != 0 && found[k] == found[k - 1]) continue;
    const std::uint64_t entry = module.entry_of(module.sites[found[k]]);
    const std::string_view symbol =
        matcher.needs_symbol() ? module.function_name(entry, buffer) : std::string_view();
    if (questions.selects(symbol, entry) && !selected.push_back(found[k])) return ErrorCode::kOutOfMemory;
  }
  return {};
}

}  // namespace

Result<void> select_sites(Module& module, const Matcher& matcher, Array<std::uint32_t>& selected) {
  switch (matcher.scope()) {
    case Matcher::Scope::kNothing:
      return {};
    case Matcher::Scope::kNamed:
      return select_among_named(module, matcher, selected);
    case Matcher::Scope::kAny:
      return select_among_all(module, matcher, selected);
    case Matcher::Scope::kAll:
      break;
  }
  if (!selected.reserve(module.sites.size())) return ErrorCode::kOutOfMemory;
  for (std::uint32_t i = 0; i < module.sites.size(); ++i) static_cast<void>(selected.push_back(i));
  return {};
}

namespace {

/// Why the site cannot be attached to, if that is so.
Result<void> check_site(const Module& module, const site::Site& site, Failure& failure) {
  return site.problem == site::SiteProblem::kNone ? Result<void>() : refuse(failure, module, site);
}

/// A module's file for as long as the object lives; what is open already stays so.
class OpenForNow {
 public:
  explicit OpenForNow(Module& module) : module_(module), was_open_(module.is_open) {
    if (module.is_usable) static_cast<void>(open_module(module));
  }
  ~OpenForNow() {
    if (!was_open_ && module_.is_open && module_.site_count == 0) close_module(module_);
  }
  OpenForNow(const OpenForNow&) = delete;
  OpenForNow& operator=(const OpenForNow&) = delete;

 private:
  Module& module_;
  bool was_open_;
};

/// What is at an address that is no function's entry. `failure` gets where that is. The module is open.
std::string_view describe_address(const Module& module, base::LinkAddress address, Failure& failure) {
  if (!module.file.is_code(address)) return "it is in the module's data";
  const site::Symbol* symbol = module.symbols.find(address);
  if (symbol == nullptr) {
    blame(failure, module, base::to_target(address, module.load_bias).value);
    return "no function is known to begin there";
  }
  if (address == symbol->address) {
    blame(failure, symbol->name);
    return "the function was compiled without an entry";
  }
  char buffer[sizeof failure.function];
  const auto offset = static_cast<std::uint64_t>(address - symbol->address);
  blame(failure, site::offset_name(symbol->name, offset, buffer));
  return "it is inside the function";
}

}  // namespace

std::uint64_t meant_function(std::uint64_t address) {
  Module* program = find_module(address);
  if (program == nullptr || program->load_bias != 0) return address;  // the addresses of -pie are true
  const OpenForNow open(*program);
  if (!program->is_open) return address;
  const std::string_view name = site::imported_function(program->file, base::LinkAddress(address));
  if (name.empty()) return address;
  // The first in the order of loading is the definition for all; the newest module is the first here.
  std::uint64_t found = 0;
  for (Module* m = first_module(); m != nullptr; m = m->next) {
    const OpenForNow open_too(*m);
    if (!m->is_open) continue;
    const base::LinkAddress function = site::exported_function(m->file, name);
    if (function.value != 0) found = base::to_target(function, m->load_bias).value;
  }
  return found;
}

Result<std::uint64_t> find_entry(std::uint64_t given, Failure& failure) {
  const auto is_none = [&](std::string_view why) {
    failure.reason = why;
    return Error(ErrorCode::kNotAnEntry, 0, given);
  };
  const std::uint64_t address = meant_function(given);
  Module* module = find_module(address != 0 ? address : given);
  if (module == nullptr) return is_none("it is in no module");
  blame(failure, module->name());
  if (address == 0 && given != 0)
    return is_none("it is a jump to a function of which no module says where it is");
  if (module->site_count == 0) return is_none("no function of the module was compiled with an entry");
  if (auto opened = open_module(*module); !opened)
    return is_none("the module's file cannot be read any more");
  if (const auto sites = module->sites_at(address); !sites.empty()) {
    if (auto usable = check_site(*module, sites.front(), failure); !usable) return usable.error();
    return address;
  }
  return is_none(
      describe_address(*module, base::to_link(base::TargetAddress(address), module->load_bias), failure));
}

Result<void> find_symbol(std::string_view symbol, Failure& failure) {
  Result<void> found = ErrorCode::kNoMatch;
  blame(failure, symbol);
  for (Module* m = first_module(); m != nullptr; m = m->next) {
    if (!m->is_usable || m->site_count == 0 || !open_module(*m)) continue;
    auto names = name_index(*m);
    if (!names) return names.error();
    bool is_usable = false;
    (*names)->for_each_candidate(symbol, [&](std::uint32_t i) {
      char buffer[512];
      if (is_usable || m->function_name(m->entry_of(m->sites[i]), buffer) != symbol) return;
      auto checked = check_site(*m, m->sites[i], failure);
      is_usable = checked.ok();
      if (!is_usable) found = checked;
    });
    if (is_usable) {
      failure = {};
      return {};
    }
  }
  if (found.error().code == ErrorCode::kNoMatch) suggest_symbols(symbol, failure);
  return found;
}

}  // namespace calltap::ops
