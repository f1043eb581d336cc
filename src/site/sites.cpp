#include "site/sites.h"

#include <algorithm>
#include <array>

#include "site/eh_frame.h"
#include "site/machine_rules.h"
#include "site/pad_evidence.h"
#include "site/recorded.h"
#include "site/symbols.h"

namespace calltap::site {
namespace {

using base::ErrorCode;
using base::LinkAddress;
using Code = std::span<const std::uint8_t>;

constexpr std::array<std::string_view, static_cast<std::size_t>(SiteProblem::kCount)> kTexts = {
    "no problem",
    "the recorded address is not code of this file",
    "the code there is not the NOPs of a patchable function entry",
    "nothing says where the function starts; keep its symbols or unwind tables",
    "another site covers the same bytes",
    "the entry has too few NOPs; compile with -fpatchable-function-entry=18,16 (AArch64: 4,2; RISC-V: 9,8)",
    "the function's address is not a multiple of 8, so the entry cannot be exchanged in one store; compile "
    "with "
    "-falign-functions=8",
    "the module has branch target identification, and one NOP leaves no room for a landing pad; compile with "
    "-fpatchable-function-entry=4,2",
};
static_assert(std::ranges::none_of(kTexts, [](std::string_view t) { return t.empty(); }),
              "every site problem needs its own text");

// Longer pads and entries than anybody compiles with; bounds the work on hostile files.
constexpr unsigned kMaxRunBytes = 1024;
constexpr unsigned kMaxEntryBytes = 255;
static_assert(kMaxEntryBytes <= UINT8_MAX);

/// Where functions start: ascending addresses, each once.
class FunctionStarts {
 public:
  /// A file's unwind entries, or its function symbols.
  using Source = base::Result<void> (*)(const ElfFile&, base::Array<LinkAddress>&);
  base::Result<void> read(const ElfFile& file, Source append);
  base::Result<void> merge(const FunctionStarts& others);
  [[nodiscard]] bool contains(LinkAddress address) const {
    return std::binary_search(starts_.begin(), starts_.end(), address);
  }
  /// The first start in (after, until], or nothing (then 0).
  [[nodiscard]] LinkAddress first_in(LinkAddress after, LinkAddress until) const {
    const LinkAddress* found = std::upper_bound(starts_.begin(), starts_.end(), after);
    return found != starts_.end() && *found <= until ? *found : LinkAddress(0);
  }

 private:
  void make_unique();

  base::Array<LinkAddress> starts_;
};

base::Result<void> FunctionStarts::read(const ElfFile& file, Source append) {
  if (auto appended = append(file, starts_); !appended) return appended;
  if (!std::is_sorted(starts_.begin(), starts_.end())) std::sort(starts_.begin(), starts_.end());
  make_unique();
  return {};
}

// Frames are sorted as they come, and symbols often are, so merging is much cheaper than sorting both
// together.
base::Result<void> FunctionStarts::merge(const FunctionStarts& others) {
  const base::Array<LinkAddress> own = std::move(starts_);
  starts_ = {};
  if (!starts_.resize(own.size() + others.starts_.size())) return ErrorCode::kOutOfMemory;
  std::merge(own.begin(), own.end(), others.starts_.begin(), others.starts_.end(), starts_.begin());
  make_unique();
  return {};
}

void FunctionStarts::make_unique() {
  const LinkAddress* last = std::unique(starts_.begin(), starts_.end());
  while (starts_.end() != last) starts_.pop_back();
}

/// The sites of one module that share a layout, to tell the compiler's NOPs from a body that starts with
/// some.
struct Group {
  unsigned pad_bytes = 0;
  bool one_byte_nops = false;
  unsigned usual_entry_bytes = 0;
};

class Discovery {
 public:
  Discovery(const ElfFile& file, const MachineRules& rules) : file_(file), rules_(rules) {}
  base::Result<base::Array<Site>> run();

 private:
  // In the order in which run() uses them.
  base::Result<void> read_starts();
  [[nodiscard]] bool frames_follow_nops() const;
  [[nodiscard]] Site locate(const Recorded& recorded, LinkAddress next) const;
  base::Result<void> gather_evidence();
  void locate_by_module(Site& site, LinkAddress next, std::int64_t module_pad) const;
  void place(Site& site, LinkAddress entry, LinkAddress next) const;
  void cap_entries();
  void cap(Site& site, unsigned bytes) const;
  void judge();

  [[nodiscard]] std::int64_t consistent_pad() const;
  [[nodiscard]] LinkAddress next_recorded(std::size_t index) const;
  [[nodiscard]] LinkAddress nops_end(LinkAddress from, LinkAddress limit) const;
  [[nodiscard]] bool lands_at(LinkAddress address) const {
    return rules_.is_landing_pad(file_.at(address, rules_.landing_pad_bytes));
  }

  const ElfFile& file_;
  const MachineRules& rules_;
  FunctionStarts starts_;
  FunctionStarts frames_;            // where unwind entries begin
  bool frames_follow_nops_ = false;  // and that is no start of a function
  PadEvidence evidence_;
  base::Array<Recorded> recorded_;
  base::Array<Site> sites_;
};

base::Result<base::Array<Site>> Discovery::run() {
  auto recorded = read_recorded(file_, rules_);
  if (!recorded) return recorded.error();
  recorded_ = std::move(*recorded);
  if (recorded_.empty()) return std::move(sites_);
  if (auto read = read_starts(); !read) return read.error();
  if (!sites_.reserve(recorded_.size())) return ErrorCode::kOutOfMemory;
  for (std::size_t i = 0; i < recorded_.size(); ++i) {
    if (!sites_.push_back(locate(recorded_[i], next_recorded(i)))) return ErrorCode::kOutOfMemory;
  }
  const std::int64_t pad = consistent_pad();
  if (auto gathered = gather_evidence(); !gathered) return gathered.error();
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    if (sites_[i].problem == SiteProblem::kEntryUnknown) locate_by_module(sites_[i], next_recorded(i), pad);
  }
  cap_entries();
  const auto by_entry = [](const Site& a, const Site& b) {
    return a.entry != b.entry ? a.entry < b.entry : a.recorded < b.recorded;
  };
  if (!std::is_sorted(sites_.begin(), sites_.end(), by_entry))
    std::sort(sites_.begin(), sites_.end(), by_entry);
  judge();
  return std::move(sites_);
}

base::Result<void> Discovery::read_starts() {
  if (auto read = frames_.read(file_, append_frame_starts); !read) return read;
  if (auto read = starts_.read(file_, append_function_symbols); !read) return read;
  frames_follow_nops_ = frames_follow_nops();
  return frames_follow_nops_ ? base::Result<void>() : starts_.merge(frames_);
}

/// GCC begins them behind the NOPs on AArch64 and RISC-V; one that does is enough to believe none in the
/// module, since also a body may start with NOPs.
bool Discovery::frames_follow_nops() const {
  if (rules_.call_offset == nullptr) return false;
  for (std::size_t i = 0; i < recorded_.size(); ++i) {
    const LinkAddress next = next_recorded(i);
    LinkAddress end = nops_end(recorded_[i].address, next);
    if (lands_at(end)) end = nops_end(end + rules_.landing_pad_bytes, next);
    if (end > recorded_[i].address && end < next && frames_.contains(end) && !starts_.contains(end))
      return true;
  }
  return false;
}

/// A sled ends where the next one begins, and where GCC's unwind entry does, also when nothing but NOPs lies
/// between.
LinkAddress Discovery::next_recorded(std::size_t index) const {
  const LinkAddress here = recorded_[index].address;
  LinkAddress end = here + kMaxRunBytes;
  while (index < recorded_.size() && recorded_[index].address == here) ++index;
  if (index < recorded_.size()) end = std::min(end, recorded_[index].address);
  if (!frames_follow_nops_) return end;
  const LinkAddress frame = frames_.first_in(here, end);
  // One that begins with a symbol begins with the function: assembly, or another compiler's.
  return frame != LinkAddress(0) && !starts_.contains(frame) ? frame : end;
}

LinkAddress Discovery::nops_end(LinkAddress from, LinkAddress limit) const {
  if (from >= limit) return from;
  Code code = file_.at(from, static_cast<std::uint64_t>(limit - from));
  while (!code.empty()) {
    const unsigned length = rules_.nop_length(code);
    if (length == 0) break;
    code = code.subspan(length);
    from = from + length;
  }
  return from;
}

// Evidence, best first: a known function start at the recorded address or (behind its landing pad) just
// before it; a known start within the NOPs after it; a landing pad in one of these places. Where starts are
// known on both sides, or nothing is known at all, the site waits for what the rest of the module says.
Site Discovery::locate(const Recorded& recorded, LinkAddress next) const {
  Site site;
  site.recorded = site.entry = site.unit = recorded.address;
  site.source = recorded.source;
  const LinkAddress at = recorded.address;
  if (!file_.is_code(at)) {
    site.problem = SiteProblem::kNotCode;
    return site;
  }
  const LinkAddress pad_end = nops_end(at, next);
  const bool lands = pad_end < next && lands_at(pad_end);
  if (pad_end == at && !lands) {
    site.problem = SiteProblem::kNotNops;
    return site;
  }
  const LinkAddress end = lands ? nops_end(pad_end + rules_.landing_pad_bytes, next) : pad_end;
  const LinkAddress before = at - rules_.landing_pad_bytes;
  const bool behind_landing_pad = lands_at(before);
  const bool starts_here = starts_.contains(at) || (behind_landing_pad && starts_.contains(before));
  const LinkAddress inside = starts_.first_in(at, end);
  const LinkAddress here = behind_landing_pad ? before : at;

  if (recorded.source == SiteSource::kMcountLoc) {
    place(site, here, next);  // -mfentry has no pad: the recorded address is the entry's NOP
  } else if (starts_here && inside != LinkAddress(0)) {
    site.problem = SiteProblem::kEntryUnknown;
  } else if (starts_here || (behind_landing_pad && inside == LinkAddress(0))) {
    place(site, here, next);
  } else if (inside != LinkAddress(0)) {
    place(site, inside, next);
  } else if (lands) {
    place(site, pad_end, next);
  } else {
    site.problem = SiteProblem::kEntryUnknown;
  }
  return site;
}

/// The pad of every site of the module whose entry is known, or -1 if they differ or none is known.
std::int64_t Discovery::consistent_pad() const {
  std::int64_t pad = -1;
  for (const Site& site : sites_) {
    if (site.problem != SiteProblem::kNone || site.source == SiteSource::kMcountLoc) continue;
    if (pad >= 0 && pad != site.pad_bytes) return -1;
    pad = site.pad_bytes;
  }
  return pad;
}

/// What calls, and the sites that are known, say about those of which nothing is known.
base::Result<void> Discovery::gather_evidence() {
  const auto is_unknown = [](const Site& site) { return site.problem == SiteProblem::kEntryUnknown; };
  if (std::none_of(sites_.begin(), sites_.end(), is_unknown)) return {};
  for (const Site& site : sites_) {
    if (site.problem != SiteProblem::kNone || site.source == SiteSource::kMcountLoc) continue;
    if (auto added = evidence_.add(site.pad_bytes + site.entry_bytes, site.pad_bytes); !added) return added;
  }
  if (rules_.call_offset == nullptr) return {};
  return for_each_call(file_, rules_, [&](LinkAddress target) -> base::Result<void> {
    const Site* after = std::upper_bound(sites_.begin(), sites_.end(), target,
                                         [](LinkAddress t, const Site& site) { return t < site.recorded; });
    if (after == sites_.begin() || !is_unknown(after[-1])) return {};
    const LinkAddress start = after[-1].recorded;
    const LinkAddress end =
        nops_end(start, next_recorded(static_cast<std::size_t>(after - sites_.begin()) - 1));
    return target <= end ? evidence_.add(end - start, target - start) : base::Result<void>();
  });
}

void Discovery::locate_by_module(Site& site, LinkAddress next, std::int64_t module_pad) const {
  // GCC's unwind entries begin behind the NOPs where these follow a landing pad: a second start, of the same
  // function.
  const LinkAddress before = site.recorded - rules_.landing_pad_bytes;
  const bool starts_here = starts_.contains(site.recorded) || (lands_at(before) && starts_.contains(before));
  if (!starts_here) module_pad = evidence_.pad_of(nops_end(site.recorded, next) - site.recorded);
  if (module_pad < 0 && !starts_here) return;
  LinkAddress entry = site.recorded + std::max<std::int64_t>(module_pad, 0);
  // Two candidates: the start that does not have the module's pad belongs to an empty function beside this
  // one.
  if (starts_here && !starts_.contains(entry)) entry = site.recorded;
  if (nops_end(site.recorded, next) < entry) return;
  if (entry == site.recorded && lands_at(before)) entry = before;
  site.problem = SiteProblem::kNone;
  place(site, entry, next);
}

void Discovery::place(Site& site, LinkAddress entry, LinkAddress next) const {
  site.entry = entry;
  site.pad_bytes = static_cast<std::uint16_t>(entry > site.recorded ? entry - site.recorded : 0);
  site.landing_pad_bytes = static_cast<std::uint8_t>(lands_at(entry) ? rules_.landing_pad_bytes : 0);
  site.unit = entry + site.landing_pad_bytes;
  LinkAddress limit = std::min(next, site.unit + kMaxEntryBytes);
  if (const LinkAddress other = starts_.first_in(entry, limit); other > site.unit) limit = other;
  if (limit <= site.unit) return;
  site.first_nop_bytes = static_cast<std::uint8_t>(
      rules_.nop_length(file_.at(site.unit, static_cast<std::uint64_t>(limit - site.unit))));
  site.entry_bytes = static_cast<std::uint8_t>(nops_end(site.unit, limit) - site.unit);
}

/// A body may start with NOPs too, and with a jump target between them, so no sled is taken to be longer than
/// most sleds of the module that look alike.
void Discovery::cap_entries() {
  using Counts = std::array<std::uint32_t, kMaxEntryBytes + 1>;
  base::Array<Group> groups;
  for (Site& site : sites_) {
    if (site.problem != SiteProblem::kNone || site.entry_bytes == 0) continue;
    const bool one_byte = site.first_nop_bytes == 1;
    const Group* group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
      return g.pad_bytes == site.pad_bytes && g.one_byte_nops == one_byte;
    });
    if (group == groups.end()) {
      Counts counts{};
      for (const Site& other : sites_) {
        const bool alike = other.problem == SiteProblem::kNone && other.pad_bytes == site.pad_bytes &&
                           (other.first_nop_bytes == 1) == one_byte;
        if (alike) ++counts[other.entry_bytes];
      }
      counts[0] = 0;
      const auto usual = std::max_element(counts.begin(), counts.end()) - counts.begin();
      if (!groups.push_back({site.pad_bytes, one_byte, static_cast<unsigned>(usual)})) continue;
      group = &groups.back();
    }
    cap(site, group->usual_entry_bytes);
  }
}

/// Shortens at the end of an instruction.
void Discovery::cap(Site& site, unsigned bytes) const {
  if (site.entry_bytes <= bytes) return;
  Code code = file_.at(site.unit, site.entry_bytes);
  unsigned used = 0;
  for (unsigned length = rules_.nop_length(code); length != 0 && used + length <= bytes;
       length = rules_.nop_length(code)) {
    used += length;
    code = code.subspan(length);
  }
  site.entry_bytes = static_cast<std::uint8_t>(std::max<unsigned>(used, site.first_nop_bytes));
}

/// Finds what overlaps and what is too short. A function may have a sled and an -mfentry NOP side by side:
/// the second one is no entry of its own.
void Discovery::judge() {
  const Site* previous = nullptr;
  for (Site& site : sites_) {
    if (site.problem != SiteProblem::kNone) continue;
    if (previous != nullptr) {
      const LinkAddress end = previous->unit + previous->entry_bytes;
      const bool beside = site.recorded == end && site.source != previous->source && site.pad_bytes == 0;
      if (std::min(site.recorded, site.entry) < end || beside) {
        site.problem = SiteProblem::kDuplicate;
        continue;
      }
    }
    if (!rules_.has_room(site)) site.problem = SiteProblem::kSledTooShort;
    previous = &site;
  }
}

}  // namespace

std::string_view text(SiteProblem problem) {
  const auto index = static_cast<std::size_t>(problem);
  return index < kTexts.size() ? kTexts[index] : "unknown problem";
}

base::Result<base::Array<Site>> discover(const ElfFile& file) {
  if (file.sections().empty()) return ErrorCode::kElfNoSectionHeaders;
  const MachineRules* rules = rules_for(file.machine());
  if (rules == nullptr) return ErrorCode::kElfForeignMachine;
  return Discovery(file, *rules).run();
}

}  // namespace calltap::site
