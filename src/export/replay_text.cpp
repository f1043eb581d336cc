#include "export/replay_text.h"

#include <algorithm>

#include "export/append_text.h"
#include "export/duration_text.h"

namespace calltap::export_ {
namespace {

using Kind = ReplayLine::Kind;

}  // namespace

std::uint32_t indentation(std::uint32_t depth) {
  constexpr std::uint32_t kMost = 100;
  return 2 * std::min(depth, kMost);
}

std::string_view parentheses(std::string_view name) {
  return name.find('(') == std::string_view::npos ? "()" : "";
}

std::string_view remark(const ReplayLine& line) {
  if (line.orphaned) return ", entry not recorded";
  switch (line.end) {
    case trace::CallEnd::kReturned:
      return line.partial ? ", events missing" : "";
    case trace::CallEnd::kUnwound:
      return line.partial ? ", unwound, events missing" : ", unwound";
    case trace::CallEnd::kLost:
    case trace::CallEnd::kInterrupted:
      break;
  }
  return ", exit not recorded";
}

std::size_t backtrace_lines(const Backtrace& backtrace) {
  return backtrace.addresses.size() - (backtrace.is_complete ? 1 : 0);
}

void append_backtrace_line(fmt::memory_buffer& to, const Backtrace& backtrace, std::size_t n,
                           AddressNames* names) {
  append(to, "/* <- ");
  if (n + 1 < backtrace.addresses.size()) {
    append_frame(to, backtrace, n + 1, names);
  } else {
    append(to, "...");
  }
  append(to, " */\n");
}

void append_duration(fmt::memory_buffer& to, const ReplayLine& line, std::uint64_t ns, bool colour) {
  constexpr std::size_t kWidth = 11;
  if (line.kind == Kind::kOpen || line.kind == Kind::kGap || line.kind == Kind::kStack || line.partial) {
    append_spaces(to, kWidth + 2);
    return;
  }
  const char mark = duration_mark(ns);
  const bool red = colour && mark != ' ';
  if (red) append(to, "\033[31m");
  to.push_back(mark);
  to.push_back(' ');
  const std::size_t begin = to.size();
  append_spaces(to, kWidth);
  append_duration_text(to, ns);
  // Right-aligned: what is too much of the spaces goes.
  const std::size_t taken = std::min(to.size() - begin - kWidth, kWidth);
  std::copy(to.data() + begin + taken, to.data() + to.size(), to.data() + begin);
  to.resize(to.size() - taken);
  if (red) append(to, "\033[0m");
}

void append_call(fmt::memory_buffer& to, const ReplayLine& line, std::string_view name) {
  append_spaces(to, indentation(line.depth));
  switch (line.kind) {
    case Kind::kOpen:
      append(to, name);
      append(to, parentheses(name));
      append(to, " {\n");
      return;
    case Kind::kLeaf: {
      append(to, name);
      append(to, parentheses(name));
      to.push_back(';');
      if (const std::string_view why = remark({.kind = line.kind, .end = line.end}); !why.empty()) {
        append(to, " /* ");
        append(to, why.substr(2));
        append(to, " */");
      }
      to.push_back('\n');
      return;
    }
    case Kind::kClose:
      append(to, "} /* ");
      append(to, name);
      append(to, remark(line));
      append(to, " */\n");
      return;
    case Kind::kStack:
      append(to, "/* ");
      append(to, name);
      append(to, parentheses(name));
      append(to, " */\n");
      return;
    case Kind::kGap:
      append(to, "/* events are missing here */\n");
      return;
  }
}

}  // namespace calltap::export_
