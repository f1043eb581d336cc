// What a demangler writes around a function's name, and where the name is in it.
#include "filter/filter.h"

namespace calltap::filter {
namespace {

std::string_view slice(std::string_view text, std::size_t begin, std::size_t end) {
  return {text.data() + begin, end - begin};
}

std::string_view tail(std::string_view text, std::size_t begin) { return slice(text, begin, text.size()); }

std::string_view strip_suffix(std::string_view text, std::string_view suffix) {
  if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
  return text;
}

/// What a demangler writes behind a parameter list.
std::string_view strip_qualifiers(std::string_view text) {
  std::size_t before = 0;
  do {
    before = text.size();
    if (text.ends_with(']')) {
      if (const std::size_t clone = text.rfind(" [clone "); clone != std::string_view::npos) {
        text.remove_suffix(text.size() - clone);
      }
    }
    for (std::string_view word : {" const", " volatile", " &", " &&", " noexcept"}) {
      text = strip_suffix(text, word);
    }
  } while (text.size() != before);
  return text;
}

/// Where the "(" is that belongs to the last character; npos if it is missing.
std::size_t find_open(std::string_view text) {
  std::size_t depth = 0;
  for (std::size_t i = text.size(); i-- > 0;) {
    if (text[i] == ')') ++depth;
    if (text[i] == '(' && --depth == 0) return i;
  }
  return std::string_view::npos;
}

/// Behind the bracket that belongs to the one at `at`; the text's end if it is missing. Brackets of other
/// kinds are in pairs in between, except for "<" and ">", which can be operators.
std::size_t skip_group(std::string_view text, std::size_t at) {
  const char open = text[at];
  const char close = open == '(' ? ')' : open == '[' ? ']' : '}';
  std::size_t depth = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == open) ++depth;
    if (text[at] == close && --depth == 0) return at + 1;
  }
  return at;
}

constexpr bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
}

constexpr std::string_view kOperator = "operator";

bool is_operator(std::string_view text, std::size_t at) {
  const std::size_t end = at + kOperator.size();
  return tail(text, at).starts_with(kOperator) && (at == 0 || !is_word(text[at - 1])) &&
         (end == text.size() || !is_word(text[end]));
}

/// From behind "operator" to behind those symbols that look like brackets. "operator< <int>" has a space.
std::size_t skip_symbol(std::string_view text, std::size_t at) {
  for (std::string_view symbol : {"<=>", "<<", "<", "->", ">>", ">", "()", "[]"}) {
    if (!tail(text, at).starts_with(symbol)) continue;
    at += symbol.size();
    return tail(text, at).starts_with(" <") ? at + 1 : at;
  }
  return at;
}

/// From the space behind a parameter list to the "::" of what is local to that function:
/// "C::f() const &::{lambda()#1}". Where it is something else, `at`.
std::size_t skip_local_scope(std::string_view text, std::size_t at) {
  if (at == 0 || text[at - 1] != ')') return at;
  std::size_t end = at;
  for (std::string_view word : {" const", " volatile", " &&", " &"}) {
    if (tail(text, end).starts_with(word)) end += word.size();
  }
  return tail(text, end).starts_with("::") ? end : at;
}

/// Behind a "<" or ">" among template arguments that is an operator, else `at`: operands are in parentheses
/// or braces, and an expression with a single ">" is as a whole.
std::size_t skip_comparison(std::string_view text, std::size_t at) {
  const char before = at == 0 ? ' ' : text[at - 1];
  if (text[at] == '>' && before == '-') return at + 1;
  if (before != ')' && before != '}') return at;
  for (std::string_view symbol : {"<<", "<=", "<", ">>(", ">=("}) {
    if (tail(text, at).starts_with(symbol)) return at + symbol.size() - (symbol.ends_with('(') ? 1 : 0);
  }
  return at;
}

/// Where the name begins in "type name": behind the last space that is not part of the name. 0 for what is no
/// function's own name ("non-virtual thunk to C::f") or cannot be understood.
std::size_t find_name(std::string_view text) {
  std::size_t begin = 0;
  std::size_t angles = 0;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '(' || c == '{' || c == '[') {
      i = skip_group(text, i);
    } else if (c == 'o' && is_operator(text, i)) {
      i = skip_symbol(text, i + kOperator.size());
      // A type, "new" or a suffix: whatever follows belongs to the name.
      if (angles == 0 && i < text.size() && (text[i] == ' ' || text[i] == '"')) break;
    } else if (const std::size_t end = angles != 0 && (c == '<' || c == '>') ? skip_comparison(text, i) : i;
               end != i) {
      i = end;
    } else if (c == ' ' && angles == 0) {
      if (const std::size_t local = skip_local_scope(text, i); local != i) {
        i = local;
        continue;
      }
      const std::string_view word = slice(text, begin, i);
      if (begin != 0 && (word == "to" || word == "for")) return 0;
      begin = ++i;
    } else {
      if (c == '<') ++angles;
      if (c == '>' && angles-- == 0) return 0;
      ++i;
    }
  }
  return angles == 0 && begin < text.size() ? begin : 0;
}

/// "f<int>(int)" of "void (*f<int>(int))", "int (&f<int>(int)) [3]" and "int (C::*f<int>(int))", else empty.
std::string_view inner_declarator(std::string_view text) {
  if (text.ends_with(']')) {
    const std::size_t array = text.rfind(") [");
    if (array == std::string_view::npos) return {};
    text = slice(text, 0, array + 1);
  }
  if (!text.ends_with(')')) return {};
  const std::size_t open = find_open(text);
  if (open == std::string_view::npos || (open != 0 && text[open - 1] != ' ')) return {};
  const std::string_view inner = slice(text, open + 1, text.size() - 1);
  std::size_t begin = 0;
  while (begin < inner.size() && (inner[begin] == '*' || inner[begin] == '&')) ++begin;
  if (begin != 0) return tail(inner, begin);
  const std::size_t member = inner.find("::*");
  return member == std::string_view::npos ? std::string_view() : tail(inner, member + 3);
}

}  // namespace

std::string_view without_parameters(std::string_view signature) {
  const std::string_view text = strip_qualifiers(signature);
  if (!text.ends_with(')')) return signature;
  const std::size_t open = find_open(text);
  if (open == std::string_view::npos || open == 0) return signature;
  const std::string_view name = slice(text, 0, open);
  const bool is_call_operator = name.ends_with("operator") && text.size() - open == 2;
  return is_call_operator ? signature : name;
}

std::string_view qualified_name(std::string_view signature) {
  std::string_view name = without_parameters(signature);
  for (std::string_view inner = inner_declarator(name); !inner.empty(); inner = inner_declarator(name)) {
    name = without_parameters(inner);
  }
  return tail(name, find_name(name));
}

}  // namespace calltap::filter
