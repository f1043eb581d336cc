#include "patched_module.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "site/sites.h"

namespace calltap::patch {
namespace {

namespace fs = std::filesystem;

std::string message(const base::Error& error) {
  char text[256];
  return {text, base::describe(error, text)};
}

}  // namespace

std::vector<std::string> built_layouts() {
  std::vector<std::string> layouts;
  for (const auto& entry : fs::directory_iterator(PATCH_OBJECTS)) {
    const std::string name = entry.path().filename().string();
    constexpr std::string_view kPrefix = "libpatch_";
    if (name.starts_with(kPrefix) && name.ends_with(".so") && name.find("refused") == std::string::npos) {
      layouts.push_back(name.substr(kPrefix.size(), name.size() - kPrefix.size() - 3));
    }
  }
  std::sort(layouts.begin(), layouts.end());
  return layouts;
}

PatchedModule::PatchedModule(const std::string& layout) {
  static int copies = 0;
  copy_ = fs::temp_directory_path() /
          ("calltap_patch_" + std::to_string(::getpid()) + "_" + std::to_string(copies++));
  fs::remove(copy_);  // of a test with this number that was killed
  fs::copy_file(fs::path(PATCH_OBJECTS) / ("libpatch_" + layout + ".so"), copy_);
  handle_ = ::dlopen(copy_.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) throw std::runtime_error(::dlerror());
  const link_map* map = nullptr;
  ::dlinfo(handle_, RTLD_DI_LINKMAP, static_cast<void*>(&map));
  load_bias_ = map->l_addr;
  auto file = site::ElfFile::open(copy_.c_str());
  if (!file) throw std::runtime_error(message(file.error()));
  file_ = std::move(*file);
  for (int i = 0; i < kFunctions; ++i) {
    const std::string name = "target_" + std::to_string(addend(i));
    functions_[static_cast<std::size_t>(i)] = reinterpret_cast<Function>(::dlsym(handle_, name.c_str()));
  }
}

PatchedModule::~PatchedModule() {
  ::dlclose(handle_);
  ::unlink(copy_.c_str());
}

std::string PatchedModule::prepare(const void* handler) {
  auto sites = site::discover(file_);
  if (!sites) return message(sites.error());
  sites_ = std::move(*sites);
  selected_.clear();
  for (std::uint32_t i = 0; i < sites_.size(); ++i) selected_.push_back(i);
  Selection selection;
  selection.file = &file_;
  selection.sites = sites_;
  selection.selected = selected_;
  selection.load_bias = load_bias_;
  selection.first_function = 1;
  selection.handler = handler;
  Patcher patcher;
  auto counts = patcher.prepare(selection, patch_);
  if (!counts) return message(counts.error());
  return counts->prepared == kFunctions && counts->refused == 0
             ? ""
             : std::to_string(counts->prepared) + " prepared, " + std::to_string(counts->refused) +
                   " refused";
}

std::string PatchedModule::enable() {
  Patcher patcher;
  const auto done = patcher.enable(patch_);
  return done ? "" : message(done.error());
}

std::string PatchedModule::disable() {
  Patcher patcher;
  const auto done = patcher.disable(patch_);
  return done ? "" : message(done.error());
}

std::string PatchedModule::restore() {
  Patcher patcher;
  const auto left = patcher.restore({&file_, sites_, load_bias_}, patch_);
  if (!left) return message(left.error());
  return *left == 0 ? "" : std::to_string(*left) + " sites were left";
}

std::string PatchedModule::toggle(std::span<const int> indices, bool on) {
  Patcher patcher;
  std::vector<trampoline::SiteRecord*> records;
  for (const int index : indices) records.push_back(&record(index));
  const auto done = patcher.toggle(patch_, records, on);
  return done ? "" : message(done.error());
}

bool PatchedModule::all_work() const {
  for (int i = 0; i < kFunctions; ++i) {
    if (function(i)(1000) != 1000 + addend(i)) return false;
  }
  return true;
}

std::vector<std::uint8_t> PatchedModule::text_in_file() const {
  for (const site::Segment& segment : file_.segments()) {
    if (segment.type != PT_LOAD || (segment.flags & PF_X) == 0) continue;
    const auto bytes = file_.at(segment.address, segment.file_size);
    return {bytes.begin(), bytes.end()};
  }
  return {};
}

std::vector<std::uint8_t> PatchedModule::text() const {
  for (const site::Segment& segment : file_.segments()) {
    if (segment.type != PT_LOAD || (segment.flags & PF_X) == 0) continue;
    const auto* begin =
        reinterpret_cast<const std::uint8_t*>(base::to_target(segment.address, load_bias_).value);
    return {begin, begin + segment.file_size};
  }
  return {};
}

}  // namespace calltap::patch
