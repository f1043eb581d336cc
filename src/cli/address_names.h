// Functions by address, from the files of a process's modules.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "export/backtrace.h"
#include "site/elf_file.h"
#include "site/symbols.h"
#include "trace/description.h"

namespace calltap::cli {

/// A file is read when an address may be in it; one that is not there any more, or is another by now, names
/// nothing. One thread.
class ModuleAddressNames : public export_::AddressNames {
 public:
  /// Files are looked for in the mount namespace of the process too; 0: it has ended.
  explicit ModuleAddressNames(std::int64_t pid) : pid_(pid) {}
  void add(const trace::ModuleDescription& module);
  const export_::AddressName& find(std::uint64_t address, bool returns) override;

 private:
  struct Module {
    std::string path;
    std::string build_id;
    std::uint64_t load_bias = 0;
    bool is_read = false;
    std::unique_ptr<site::ElfFile> file;
    std::unique_ptr<site::SymbolTable> symbols;
  };
  void read(Module& module) const;
  bool open(Module& module, const std::string& path) const;
  export_::AddressName name(std::uint64_t address, bool returns);

  std::int64_t pid_;
  std::vector<Module> modules_;
  std::map<std::pair<std::uint64_t, bool>, export_::AddressName> known_;
};

}  // namespace calltap::cli
