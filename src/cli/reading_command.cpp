#include "cli/reading_command.h"

#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "cli/commands.h"
#include "filter/filter.h"
#include "trace/function_names.h"
#include "trace/trace_error.h"

namespace calltap::cli {
namespace {

/// A recording has a file for every thread, and `replay` has those of all running threads open.
void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// The filter keeps views of the patterns, so both live together.
struct OwnedFilter {
  std::vector<std::string> patterns;
  filter::Filter filter;
};

void check(const base::Result<void>& added, const std::string& pattern) {
  if (added.ok()) return;
  throw CLI::ValidationError(fmt::format("pattern '{}': {} at column {}", pattern,
                                         base::text(added.error().code), added.error().address));
}

}  // namespace

void add_directory(CLI::App& command, std::string& directory) {
  directory = "calltap.data";
  command.add_option("DIR", directory, "The recording, or one process directory of it")
      ->capture_default_str();
}

int run_reading(const std::string& directory,
                const std::function<export_::Reading(const trace::Session&, export_::Output&)>& show) {
  std::signal(SIGPIPE, SIG_IGN);
  allow_many_files();
  try {
    const trace::Session session = trace::open_session(directory);
    export_::Output out(STDOUT_FILENO, ::isatty(STDOUT_FILENO) != 0);
    const export_::Reading reading = show(session, out);
    out.flush();
    for (const std::string& notice : notices(session, reading)) {
      std::fprintf(stderr, "calltap: %s\n", notice.c_str());
    }
    if (out.error() != 0)
      return fail(fmt::format("cannot write the output: {}", std::strerror(out.error())).c_str());
    // What could be read has been shown; a script must not take it for all there was.
    if (reading.damage.any() || !session.problems.empty()) return 1;
  } catch (const trace::TraceError& error) {
    return fail(error.what());
  }
  return 0;
}

FunctionPredicate function_predicate(const std::vector<std::string>& wanted,
                                     const std::vector<std::string>& unwanted) {
  if (wanted.empty() && unwanted.empty()) return nullptr;
  const auto owned = std::make_shared<OwnedFilter>();
  owned->patterns = wanted;
  owned->patterns.insert(owned->patterns.end(), unwanted.begin(), unwanted.end());
  for (std::size_t i = 0; i < owned->patterns.size(); ++i) {
    const std::string& pattern = owned->patterns[i];
    check(i < wanted.size() ? owned->filter.add(pattern) : owned->filter.add_notrace(pattern), pattern);
  }
  return [owned](const trace::ProcessTrace& process, const trace::FunctionDescription& f) {
    return owned->filter.selects({trace::module_name(process.description, f.module), f.symbol, f.name});
  };
}

void require_function(const trace::Session& session, const FunctionPredicate& predicate) {
  if (!predicate) return;
  for (const trace::ProcessTrace& process : session.processes) {
    for (const trace::FunctionDescription& f : process.description.functions) {
      if (predicate(process, f)) return;
    }
  }
  throw trace::TraceError(
      trace::TraceError::Kind::kNoSuchFunction,
      "no function of the recording matches the pattern: calltap report names those that were called");
}

void add_min_time(CLI::App& command, std::uint64_t& ns, const std::string& description) {
  static const std::map<std::string, std::uint64_t> kUnits = {
      {"ns", 1}, {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};
  command.add_option("--min-time", ns, description)->transform(CLI::AsNumberWithUnit(kUnits));
}

}  // namespace calltap::cli
