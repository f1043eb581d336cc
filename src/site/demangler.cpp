#include "site/demangler.h"

#include <span>

namespace calltap::site {
namespace {

// Demanglers recurse; a symbol table is untrusted, and the caller's stack may be small.
constexpr std::size_t kMaxMangled = 16384;

}  // namespace

Demangler::~Demangler() {
  if (release_ != nullptr && buffer_ != nullptr) release_(buffer_);
}

std::string_view Demangler::demangle(std::string_view mangled) {
  if (function_ == nullptr || !mangled.starts_with("_Z") || mangled.size() > kMaxMangled) return mangled;
  terminated_.clear();
  if (!terminated_.append(std::span(mangled.data(), mangled.size())) || !terminated_.push_back('\0'))
    return mangled;
  int status = 0;
  char* text = function_(terminated_.data(), buffer_, &length_, &status);
  if (text == nullptr || status != 0) return mangled;
  buffer_ = text;
  return text;
}

}  // namespace calltap::site
