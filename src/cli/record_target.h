// The program that is to be recorded: checked before it starts, then started with the runtime preloaded.
#pragma once

#include <sys/types.h>

#include <string>

#include "cli/record_options.h"

namespace calltap::cli {

/// The file that the command would run, found as execvp finds it. Throws SourceError: no such program.
std::string find_command(const std::string& word);

/// Throws SourceError, with what to do, where recording cannot work: not an ELF file, static, privileged, no
/// function can be hooked, a filter matches nothing. The last two only without --force.
void check_target(const std::string& path, const RecordOptions& options);

/// libcalltap.so beside this program (build tree or installation). Throws SourceError.
std::string find_runtime();

/// Starts the command, by the wrapper if there is one, with the runtime preloaded into it and its children.
/// Throws SourceError if it cannot be executed.
pid_t start_target(const std::string& path, const RecordOptions& options, const std::string& runtime,
                   const std::string& session);

/// Becomes the command, by the wrapper if there is one, with the runtime preloaded and the environment's
/// `variable` set. Throws SourceError if it cannot be executed; does not return otherwise.
[[noreturn]] void become_target(const std::string& path, const RecordOptions& options,
                                const std::string& runtime, const char* variable, const char* value);

/// Throws SourceError, with what to do, if the process has no functions that can be hooked, or the filter
/// matches none. Not with --force.
void check_matches(pid_t pid, const RecordOptions& options);

}  // namespace calltap::cli
