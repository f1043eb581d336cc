#include "ops/selection.h"

#include <algorithm>
#include <cstdlib>

#include "site/demangler.h"

namespace calltap::ops {
namespace {

using base::Array;
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

}  // namespace calltap::ops
