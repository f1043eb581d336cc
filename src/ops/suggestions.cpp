#include "ops/suggestions.h"

#include <algorithm>
#include <cstdlib>

#include "filter/near_miss.h"
#include "ops/modules.h"
#include "site/demangler.h"

namespace calltap::ops {
namespace {

enum class Kind { kPattern, kSymbol };

/// Its functions are there, but the names are gone: not in a debug file either.
bool has_lost_names(const Module& module) {
  if (module.file.section(".symtab") != nullptr) return false;
  return std::any_of(module.sites.begin(), module.sites.end(), [&](const site::Site& site) {
    const site::Symbol* symbol = module.symbols.find(site.entry);
    return symbol == nullptr || symbol->address != site.entry;
  });
}

/// Of several modules the one that was loaded first: the program.
void note_stripped(const filter::Pattern& wanted, Failure& failure) {
  for (Module* m = first_module(); m != nullptr; m = m->next) {
    if (!m->is_open || m->site_count == 0 || !filter::matches_module(wanted, m->name())) continue;
    if (!has_lost_names(*m)) continue;
    failure.stripped[m->name().copy(failure.stripped, sizeof failure.stripped - 1)] = '\0';
  }
}

/// Functions with sites, of all modules, until `visit` returns false. Of symbols nothing is demangled.
template <class Visit>
void for_each_name(Kind kind, Visit visit) {
  site::Demangler demangler(demangle_function(), std::free);
  for (Module* m = first_module(); m != nullptr; m = m->next) {
    if (!m->is_usable || m->site_count == 0 || !open_module(*m)) continue;
    site::NamesInOrder names(m->symbols, m->name());
    for (const site::Site& site : m->sites) {
      const std::string_view symbol = names.name_of(site.entry);
      const bool is_symbol = kind == Kind::kSymbol;
      if (!visit({m->name(), symbol, is_symbol ? symbol : demangler.demangle(symbol)})) return;
    }
  }
}

/// False if a function has that name.
bool find_near_misses(const filter::Pattern& wanted, Kind kind, filter::NearMisses& near) {
  bool found = false;
  for_each_name(kind, [&](const filter::FunctionName& function) {
    found = kind == Kind::kSymbol ? wanted.name == function.symbol : filter::matches(wanted, function);
    if (!found) near.consider(function);
    return !found;
  });
  return !found;
}

/// "a, b, c", of which only whole names.
void note(const filter::NearMisses& near, Failure& failure) {
  std::size_t used = 0;
  for (const std::string_view name : near.best()) {
    const std::string_view separator = used == 0 ? "" : ", ";
    if (used + separator.size() + name.size() >= sizeof failure.near_misses) continue;
    used += separator.copy(failure.near_misses + used, separator.size());
    used += name.copy(failure.near_misses + used, name.size());
  }
  failure.near_misses[used] = '\0';
}

/// True if that was the one that no function has.
bool suggest(const filter::Pattern& wanted, Kind kind, Failure& failure) {
  filter::NearMisses near(wanted);
  if (!find_near_misses(wanted, kind, near)) return false;
  note(near, failure);
  note_stripped(wanted, failure);
  return true;
}

}  // namespace

void suggest_names(const Matcher& matcher, Failure& failure) {
  bool done = false;
  matcher.for_each_wanted([&](const filter::Pattern& wanted, bool is_symbol) {
    done = done || suggest(wanted, is_symbol ? Kind::kSymbol : Kind::kPattern, failure);
  });
}

void suggest_symbols(std::string_view symbol, Failure& failure) {
  filter::Pattern wanted;
  wanted.name = symbol;
  static_cast<void>(suggest(wanted, Kind::kSymbol, failure));
}

}  // namespace calltap::ops
