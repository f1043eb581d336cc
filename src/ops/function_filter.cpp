#include "ops/function_filter.h"

#include <algorithm>
#include <cstring>

namespace calltap::ops {

using base::ErrorCode;
using base::Result;

Result<void> FunctionFilter::add_text(Entry entry, std::string_view text) {
  if (!text_.reserve(text_.size() + text.size() + 2)) return ErrorCode::kOutOfMemory;
  bool added = text_.push_back(static_cast<char>(entry));
  for (const char c : text) added = added && text_.push_back(c);
  added = added && text_.push_back('\0');
  return added ? Result<void>() : ErrorCode::kOutOfMemory;
}

Result<void> FunctionFilter::add_pattern(std::string_view pattern, bool notrace) {
  if (auto parsed = filter::parse_pattern(pattern); !parsed) return parsed.error();
  return add_text(notrace ? Entry::kNotrace : Entry::kPattern, pattern);
}

Result<void> FunctionFilter::add_symbol(std::string_view symbol) { return add_text(Entry::kSymbol, symbol); }

namespace {

using Addresses = base::Array<std::uint64_t>;

bool contains(std::span<const std::uint64_t> addresses, std::uint64_t address) {
  return std::binary_search(addresses.begin(), addresses.end(), address);
}

Result<void> insert(Addresses& addresses, std::uint64_t address) {
  if (contains(addresses, address)) return {};
  if (!addresses.push_back(address)) return ErrorCode::kOutOfMemory;
  std::rotate(std::upper_bound(addresses.begin(), addresses.end() - 1, address), addresses.end() - 1,
              addresses.end());
  return {};
}

void erase(Addresses& addresses, std::uint64_t first, std::uint64_t last) {
  std::uint64_t* end = std::remove_if(addresses.begin(), addresses.end(),
                                      [=](std::uint64_t a) { return a >= first && a <= last; });
  while (addresses.end() != end) addresses.pop_back();
}

}  // namespace

Result<void> FunctionFilter::add_address(std::uint64_t address) {
  by_address_ = true;
  erase(removed_, address, address);
  return insert(addresses_, address);
}

Result<void> FunctionFilter::remove_address(std::uint64_t address) {
  erase(addresses_, address, address);
  return insert(removed_, address);
}

void FunctionFilter::remove_addresses(std::uint64_t first, std::uint64_t last) {
  erase(addresses_, first, last);
  erase(removed_, first, last);
}

void FunctionFilter::clear_patterns(bool notrace) {
  std::size_t kept = 0;
  for (std::size_t at = 0; at < text_.size();) {
    const std::size_t size = std::strlen(text_.data() + at + 1) + 2;
    if ((text_[at] == static_cast<char>(Entry::kNotrace)) != notrace) {
      std::memmove(text_.data() + kept, text_.data() + at, size);
      kept += size;
    }
    at += size;
  }
  while (text_.size() > kept) text_.pop_back();
  if (notrace) return;
  addresses_.clear();
  removed_.clear();
  by_address_ = false;
}

Result<void> FunctionFilter::copy_from(const FunctionFilter& other) {
  text_.clear();
  addresses_.clear();
  removed_.clear();
  by_address_ = other.by_address_;
  const bool copied =
      text_.append(other.text_) && addresses_.append(other.addresses_) && removed_.append(other.removed_);
  return copied ? Result<void>() : ErrorCode::kOutOfMemory;
}

bool FunctionFilter::has_exact() const {
  bool found = by_address_;
  for_each([&](Entry entry, std::string_view) { found = found || entry == Entry::kSymbol; });
  return found;
}

bool FunctionFilter::has_lost_all() const { return by_address_ && addresses_.empty() && !adds_by_text(); }

void FunctionFilter::print(std::span<char> out) const {
  constexpr std::string_view kCut = "...";
  std::size_t used = 0;
  bool cut = false;
  const auto put = [&](std::string_view text) {
    for (const char c : text) {
      cut = cut || used + kCut.size() + 1 >= out.size();
      if (!cut) out[used++] = c;
    }
  };
  for (const std::uint64_t address : addresses_) {
    put(used == 0 ? "0x" : ", 0x");
    int shift = 60;
    while (shift > 0 && address >> shift == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) put(std::string_view("0123456789abcdef").substr(address >> shift & 15, 1));
  }
  for_each([&](Entry entry, std::string_view text) {
    if (used != 0) put(", ");
    if (entry == Entry::kNotrace) put("not ");
    put(text);
  });
  if (cut) used += kCut.copy(&out[used], kCut.size());
  out[used] = '\0';
}

bool FunctionFilter::starts_from_all() const {
  bool is_first = true;
  bool from_all = !by_address_;
  for_each([&](Entry entry, std::string_view text) {
    if (entry == Entry::kNotrace) return;
    if (is_first && (entry == Entry::kSymbol || !text.starts_with('!'))) from_all = false;
    is_first = false;
  });
  return from_all;
}

bool FunctionFilter::adds_by_text() const {
  bool found = false;
  for_each([&](Entry entry, std::string_view text) {
    found = found || entry == Entry::kSymbol || (entry == Entry::kPattern && !text.starts_with('!'));
  });
  return found;
}

Result<void> Matcher::prepare(const FunctionFilter& filter) {
  filter_ = &filter;
  starts_from_all_ = filter.starts_from_all();
  Result<void> done;
  filter.for_each([&](FunctionFilter::Entry kind, std::string_view text) {
    Rule rule;
    rule.kind = kind;
    if (kind == FunctionFilter::Entry::kSymbol) {
      rule.pattern.name = text;
    } else if (auto parsed = filter::parse_pattern(text); parsed) {
      rule.pattern = *parsed;
    } else if (done) {
      done = parsed.error();
    }
    if (done && !rules_.push_back(rule)) done = ErrorCode::kOutOfMemory;
  });
  return done;
}

void Matcher::enter(std::string_view module, std::uint64_t first, std::uint64_t last) {
  bool adds = false;
  bool has_symbols = false;
  needs_signature_ = false;
  for (Rule& rule : rules_) {
    const bool is_symbol = rule.kind == FunctionFilter::Entry::kSymbol;
    rule.is_here = is_symbol || filter::matches_module(rule.pattern, module);
    if (!rule.is_here) continue;
    has_symbols = has_symbols || is_symbol;
    needs_signature_ = needs_signature_ || !is_symbol;
    adds = adds || (rule.kind == FunctionFilter::Entry::kPattern && !rule.pattern.remove);
  }
  needs_symbol_ = has_symbols || needs_signature_;
  const std::span<const std::uint64_t> all = filter_->addresses_;
  addresses_ = {std::lower_bound(all.begin(), all.end(), first),
                std::upper_bound(all.begin(), all.end(), last)};
  if (starts_from_all_) {
    scope_ = needs_symbol_ || !filter_->removed_.empty() ? Scope::kAny : Scope::kAll;
  } else if (adds) {
    scope_ = Scope::kAny;
  } else {
    scope_ = has_symbols || !addresses_.empty() ? Scope::kNamed : Scope::kNothing;
  }
}

bool Matcher::is_exact(std::string_view symbol, std::uint64_t address) const {
  bool found = contains(addresses_, address);
  for_each_symbol([&](std::string_view name) { found = found || name == symbol; });
  return found;
}

bool Matcher::selects(const filter::FunctionName& function, std::uint64_t address) const {
  if (contains(filter_->removed_, address)) return false;
  // In the order in which they were given: a "!" pattern removes symbols, too.
  bool selected = starts_from_all_;
  bool excluded = false;
  for (const Rule& rule : rules_) {
    if (!rule.is_here) continue;
    if (rule.kind == FunctionFilter::Entry::kSymbol) {
      selected = selected || rule.pattern.name == function.symbol;
      continue;
    }
    bool& changed = rule.kind == FunctionFilter::Entry::kNotrace ? excluded : selected;
    if (changed == rule.pattern.remove && filter::matches_name(rule.pattern, function)) changed = !changed;
  }
  return !excluded && (selected || contains(addresses_, address));
}

}  // namespace calltap::ops
