// Sites as rows of a listing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/module_sources.h"

namespace calltap::cli {

struct SiteRow {
  std::string function;  // demangled
  std::string symbol;
  std::string module;     // base name
  std::uint64_t address;  // of the entry: run-time, or link address where nothing is loaded
  std::string layout;     // "18,16", "5", "5+endbr"; "-" where the sled could not be decoded
  std::string method;     // plan::name()
  std::string problem;    // empty if the site can be patched
};

/// Appends a row for every site of the module, by address. Throws SourceError.
void append_sites(const SourceModule& module, std::vector<SiteRow>& rows);

}  // namespace calltap::cli
