#include "ops/client.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "isa/system.h"
#include "trampoline/handlers.h"

namespace calltap::ops {

using base::ErrorCode;
using base::Result;

template <class Visit>
void FunctionFilter::for_each(Visit visit) const {
  for (std::size_t at = 0; at < text_.size();) {
    const std::string_view text(text_.data() + at + 1);
    visit(static_cast<Entry>(text_[at]), text);
    at += text.size() + 2;
  }
}

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

bool contains(const Addresses& addresses, std::uint64_t address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

Result<void> insert(Addresses& addresses, std::uint64_t address) {
  return contains(addresses, address) || addresses.push_back(address) ? Result<void>()
                                                                      : ErrorCode::kOutOfMemory;
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

bool FunctionFilter::selects_all() const {
  bool found = by_address_;
  for_each([&](Entry entry, std::string_view) { found = found || entry != Entry::kNotrace; });
  return !found;
}

Result<void> Matcher::prepare(const FunctionFilter& filter) {
  filter_ = &filter;
  has_exact_ = filter.has_exact();
  all_ = true;
  Result<void> done;
  filter.for_each([&](FunctionFilter::Entry entry, std::string_view text) {
    if (entry != FunctionFilter::Entry::kSymbol && done) {
      done = entry == FunctionFilter::Entry::kNotrace ? patterns_.add_notrace(text) : patterns_.add(text);
    }
    if (entry == FunctionFilter::Entry::kNotrace && done) done = notrace_.add_notrace(text);
    all_ = false;
    needs_symbol_ = true;
  });
  if (filter.by_address_ || !filter.removed_.empty()) all_ = false;
  return done;
}

bool Matcher::is_exact(const filter::FunctionName& function, std::uint64_t address) const {
  if (contains(filter_->addresses_, address)) return true;
  bool found = false;
  filter_->for_each([&](FunctionFilter::Entry entry, std::string_view text) {
    found = found || (entry == FunctionFilter::Entry::kSymbol && text == function.symbol);
  });
  return found;
}

bool Matcher::selects(const filter::FunctionName& function, std::uint64_t address) const {
  if (all_) return true;
  if (contains(filter_->removed_, address)) return false;
  if (!has_exact_) return patterns_.selects(function);
  if (!notrace_.selects(function)) return false;
  if (contains(filter_->addresses_, address)) return true;
  // In the order in which they were given: a "!" pattern removes symbols, too.
  bool selected = false;
  bool is_first = !filter_->by_address_;
  const filter::Pattern* pattern = patterns_.patterns().data();
  filter_->for_each([&](FunctionFilter::Entry entry, std::string_view text) {
    if (entry == FunctionFilter::Entry::kSymbol) selected = selected || text == function.symbol;
    if (entry == FunctionFilter::Entry::kPattern) {
      if (is_first && pattern->remove) selected = true;  // starts from all
      if (filter::matches(*pattern, function)) selected = !pattern->remove;
      ++pattern;
    }
    if (entry != FunctionFilter::Entry::kNotrace) is_first = false;
  });
  return selected;
}

namespace {

ct_ops* clients = nullptr;
std::size_t used = 0;  // places that have ever been used

}  // namespace

std::span<ct_ops> all_clients() { return {clients, used}; }

ct_ops* new_client() {
  if (clients == nullptr) {
    clients = static_cast<ct_ops*>(isa::map_memory(trampoline::kMaxClients * sizeof(ct_ops), MAP_NORESERVE));
    if (clients == nullptr) return nullptr;
  }
  ct_ops* client =
      std::find_if(clients, clients + used, [](const ct_ops& c) { return c.state == ClientState::kUnused; });
  if (client == clients + used) {
    // Counters of index 0 are the lists'.
    if (used + 1 == trampoline::kMaxClients) return nullptr;
    client = new (clients + used) ct_ops;
    client->index = ++used;
  }
  client->state = ClientState::kIdle;
  client->counted_before = trampoline::sum_counters(*client);
  return client;
}

void free_client(ct_ops& client) {
  client.filter = FunctionFilter();
  client.name[0] = '\0';
  client.state = ClientState::kUnused;
}

}  // namespace calltap::ops
