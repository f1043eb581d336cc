// A shared object of one layout, loaded and prepared for patching in this process.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "patch/patcher.h"

namespace calltap::patch {

/// Names of the layouts that were built ("gcc_5", ...), but for those that are there to be refused.
std::vector<std::string> built_layouts();

class PatchedModule {
 public:
  static constexpr int kFunctions = 60;
  using Function = int (*)(int);

  /// Loads a fresh copy, so that every test starts with the text as in the file.
  explicit PatchedModule(const std::string& layout);
  ~PatchedModule();
  PatchedModule(const PatchedModule&) = delete;
  PatchedModule& operator=(const PatchedModule&) = delete;

  /// Plans and prepares all sites with this handler. Returns an error text, empty on success.
  std::string prepare(const void* handler);
  /// The same with the bare hook.
  std::string prepare();
  std::string enable();
  std::string disable();
  /// All code as in the file. An error text also where sites were left.
  std::string restore();
  /// Some functions, in one batch.
  std::string toggle(std::span<const int> indices, bool on);
  std::string toggle(int index, bool on) { return toggle({&index, 1}, on); }

  [[nodiscard]] Function function(int index) const { return functions_[static_cast<std::size_t>(index)]; }
  /// Of a prepared function.
  [[nodiscard]] trampoline::SiteRecord& record(int index) {
    return *patch_.find(reinterpret_cast<std::uint64_t>(function(index)));
  }
  /// What target_N adds to its argument.
  static int addend(int index) { return index + 10; }
  /// Calls every function once and checks its result.
  [[nodiscard]] bool all_work() const;
  /// Executable bytes of the module now.
  [[nodiscard]] std::vector<std::uint8_t> text() const;
  /// The same bytes from the file.
  [[nodiscard]] std::vector<std::uint8_t> text_in_file() const;
  [[nodiscard]] std::uint64_t load_bias() const { return load_bias_; }
  [[nodiscard]] ModulePatch& patch() { return patch_; }

 private:
  std::string copy_;
  void* handle_ = nullptr;
  std::uint64_t load_bias_ = 0;
  site::ElfFile file_;
  base::Array<site::Site> sites_;
  std::vector<std::uint32_t> selected_;
  ModulePatch patch_;
  std::array<Function, kFunctions> functions_{};
};

}  // namespace calltap::patch
