#include "cli/debug_parameters.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <gelf.h>

#include <memory>
#include <optional>

#include "cli/calling_convention.h"
#include "cli/descriptor.h"
#include "trace/printable.h"

namespace calltap::cli {
namespace {

using trace::Parameter;
using Class = PassedType::Class;

// Files are untrusted: entries may refer to each other in circles.
constexpr int kMostNested = 64;

struct Walk {
  Architecture architecture;
  std::uint64_t entries_left = std::uint64_t{1} << 27;
};

/// handle(child) for each, as long as it returns true. False: it did not.
template <class Handle>
bool each_child(Walk& walk, Dwarf_Die& parent, Handle handle) {
  Dwarf_Die child;
  for (int next = dwarf_child(&parent, &child); next == 0; next = dwarf_siblingof(&child, &child)) {
    if (walk.entries_left == 0 || !handle(child)) return false;
    --walk.entries_left;
  }
  return true;
}

std::optional<Dwarf_Die> referred(Dwarf_Die& die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Die target;
  if (dwarf_attr_integrate(&die, name, &attribute) == nullptr) return std::nullopt;
  if (dwarf_formref_die(&attribute, &target) == nullptr) return std::nullopt;
  return target;
}

std::optional<std::uint64_t> number(Dwarf_Die& die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dwarf_attr_integrate(&die, name, &attribute) == nullptr) return std::nullopt;
  if (dwarf_formudata(&attribute, &value) != 0) return std::nullopt;
  return value;
}

std::string name_of(Dwarf_Die& die) {
  Dwarf_Attribute attribute;
  const char* text = dwarf_formstring(dwarf_attr_integrate(&die, DW_AT_name, &attribute));
  return text == nullptr ? "" : trace::printable(text);
}

bool is_c_plus_plus(Dwarf_Die& die) {
  Dwarf_Die unit;
  if (dwarf_diecu(&die, &unit, nullptr, nullptr) == nullptr) return true;
  switch (dwarf_srclang(&unit)) {
    case DW_LANG_C89:
    case DW_LANG_C:
    case DW_LANG_C99:
    case DW_LANG_C11:
      return false;
    default:
      return true;
  }
}

/// The type behind names and qualifiers.
Dwarf_Die peeled(Dwarf_Die type) {
  for (int i = 0; i < kMostNested; ++i) {
    switch (dwarf_tag(&type)) {
      case DW_TAG_typedef:
      case DW_TAG_const_type:
      case DW_TAG_volatile_type:
      case DW_TAG_restrict_type:
      case DW_TAG_atomic_type:
        break;
      default:
        return type;
    }
    const auto target = referred(type, DW_AT_type);
    if (!target) return type;
    type = *target;
  }
  return type;
}

std::string type_name(std::optional<Dwarf_Die> type, int depth = 0) {
  if (!type) return "void";
  if (depth == 8) return "...";
  const auto target = [&] { return type_name(referred(*type, DW_AT_type), depth + 1); };
  switch (dwarf_tag(&*type)) {
    case DW_TAG_pointer_type: {
      const std::string pointed = target();
      return pointed + (pointed.ends_with('*') ? "*" : " *");
    }
    case DW_TAG_reference_type:
      return target() + " &";
    case DW_TAG_rvalue_reference_type:
      return target() + " &&";
    case DW_TAG_const_type: {
      const std::string constant = target();
      return constant.ends_with('*') ? constant + " const" : "const " + constant;
    }
    case DW_TAG_volatile_type:
      return "volatile " + target();
    case DW_TAG_restrict_type:
    case DW_TAG_atomic_type:
      return target();
    case DW_TAG_array_type:
      return target() + " []";
    case DW_TAG_subroutine_type:
      return target() + " (...)";
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type: {
      const char* keyword = dwarf_tag(&*type) == DW_TAG_structure_type ? "struct "
                            : dwarf_tag(&*type) == DW_TAG_union_type   ? "union "
                                                                       : "enum ";
      return (is_c_plus_plus(*type) ? "" : keyword) + name_of(*type);
    }
    default:
      return name_of(*type);
  }
}

bool is_float(std::uint64_t encoding) { return encoding == DW_ATE_float; }

/// Adds the numbers that make up a type. False: not all of them are known.
bool add_fields(Walk& walk, Dwarf_Die type, std::uint64_t offset, int depth,
                std::vector<PassedType::Field>& fields) {
  constexpr std::size_t kMostFields = 64;
  if (depth == 8 || fields.size() > kMostFields) return false;
  const std::uint64_t bytes = number(type, DW_AT_byte_size).value_or(0);
  switch (dwarf_tag(&type)) {
    case DW_TAG_base_type:
      fields.push_back({offset, bytes, is_float(number(type, DW_AT_encoding).value_or(0))});
      return true;
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
      fields.push_back({offset, 8, false});
      return true;
    case DW_TAG_enumeration_type:
      fields.push_back({offset, bytes, false});
      return true;
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
      break;
    default:
      return false;  // unions and arrays
  }
  return each_child(walk, type, [&](Dwarf_Die& child) {
    const int tag = dwarf_tag(&child);
    if (tag != DW_TAG_member && tag != DW_TAG_inheritance) return true;
    if (dwarf_hasattr(&child, DW_AT_external) != 0) return true;  // static
    if (dwarf_hasattr(&child, DW_AT_bit_size) != 0) return false;
    const auto member = referred(child, DW_AT_type);
    const auto at = number(child, DW_AT_data_member_location);
    return member && at && add_fields(walk, peeled(*member), offset + *at, depth + 1, fields);
  });
}

/// Of a constructor: does it copy or move an object of its class?
bool copies(Walk& walk, Dwarf_Die constructor, Dwarf_Die type) {
  int explicit_parameters = 0;
  bool of_the_class = false;
  each_child(walk, constructor, [&](Dwarf_Die& child) {
    if (dwarf_tag(&child) != DW_TAG_formal_parameter || dwarf_hasattr(&child, DW_AT_artificial) != 0)
      return true;
    if (++explicit_parameters > 1) return false;
    auto reference = referred(child, DW_AT_type);
    if (!reference) return false;
    const int tag = dwarf_tag(&*reference);
    if (tag != DW_TAG_reference_type && tag != DW_TAG_rvalue_reference_type) return true;
    const auto target = referred(*reference, DW_AT_type);
    if (!target) return false;
    Dwarf_Die referenced = peeled(*target);
    of_the_class = dwarf_dieoffset(&referenced) == dwarf_dieoffset(&type);
    return true;
  });
  return of_the_class;
}

/// How an object of a C++ class is passed. Compilers that do not say it (GCC) say what functions it has.
Class passing_of(Walk& walk, Dwarf_Die type, int depth) {
  switch (number(type, DW_AT_calling_convention).value_or(0)) {
    case DW_CC_pass_by_reference:
      return Class::kByReference;
    case DW_CC_pass_by_value:
      return Class::kAggregate;
    default:
      break;
  }
  if (!is_c_plus_plus(type)) return Class::kAggregate;
  if (depth == 8 || dwarf_hasattr(&type, DW_AT_declaration) != 0) return Class::kUnknown;
  const std::string name = name_of(type);
  const std::string plain_name = name.substr(0, name.find('<'));
  Class passing = Class::kAggregate;
  const bool seen_all = each_child(walk, type, [&](Dwarf_Die& child) {
    const int tag = dwarf_tag(&child);
    if (tag == DW_TAG_subprogram) {
      if (dwarf_hasattr(&child, DW_AT_virtuality) != 0) passing = Class::kByReference;
      const std::string function = name_of(child);
      const bool is_destructor = function.starts_with('~');
      const bool is_copying = function == plain_name && copies(walk, child, type);
      if (!is_destructor && !is_copying) return true;
      if (dwarf_hasattr(&child, DW_AT_deleted) != 0) passing = Class::kUnknown;
      // What the compiler has made is as its parts are, which are looked at too.
      const bool is_made = dwarf_hasattr(&child, DW_AT_artificial) != 0 ||
                           number(child, DW_AT_defaulted) == std::uint64_t{DW_DEFAULTED_in_class};
      if (!is_made && passing == Class::kAggregate) passing = Class::kByReference;
    } else if ((tag == DW_TAG_member && dwarf_hasattr(&child, DW_AT_external) == 0) ||
               tag == DW_TAG_inheritance) {
      if (dwarf_hasattr(&child, DW_AT_virtuality) != 0) passing = Class::kByReference;
      auto part = referred(child, DW_AT_type);
      for (int i = 0; part && dwarf_tag(&*part) == DW_TAG_array_type && i < kMostNested; ++i)
        part = referred(*part, DW_AT_type);
      if (!part) return false;
      Dwarf_Die of_class = peeled(*part);
      const int part_tag = dwarf_tag(&of_class);
      if (part_tag != DW_TAG_structure_type && part_tag != DW_TAG_class_type && part_tag != DW_TAG_union_type)
        return true;
      const Class of_part = passing_of(walk, of_class, depth + 1);
      if (of_part != Class::kAggregate && passing == Class::kAggregate) passing = of_part;
    }
    return true;
  });
  return seen_all ? passing : Class::kUnknown;
}

PassedType aggregate(Walk& walk, Dwarf_Die type) {
  PassedType passed;
  const auto bytes = number(type, DW_AT_byte_size);
  if (!bytes) return passed;
  passed.bytes = *bytes;
  passed.kind = passing_of(walk, type, 0);
  if (passed.kind == Class::kAggregate) {
    if (*bytes > 64) return passed;
    // Without fields only its size counts, and where that does not tell, it is unknown what it takes.
    if (!add_fields(walk, type, 0, 0, passed.fields)) passed.fields.clear();
  }
  return passed;
}

PassedType passed_type(Walk& walk, Dwarf_Die type) {
  PassedType passed;
  passed.bytes = number(type, DW_AT_byte_size).value_or(0);
  switch (dwarf_tag(&type)) {
    case DW_TAG_base_type: {
      const std::uint64_t encoding = number(type, DW_AT_encoding).value_or(0);
      if (encoding == DW_ATE_complex_float || passed.bytes == 0 || passed.bytes > 16) return passed;
      passed.kind = is_float(encoding) ? Class::kFloat : Class::kInteger;
      passed.is_x87 = walk.architecture == Architecture::kX86_64 && is_float(encoding) &&
                      passed.bytes == 16 && name_of(type) == "long double";
      return passed;
    }
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
    case DW_TAG_unspecified_type:  // nullptr_t
      passed.kind = Class::kInteger;
      passed.bytes = 8;
      return passed;
    case DW_TAG_enumeration_type:
      if (passed.bytes != 0 && passed.bytes <= 8) passed.kind = Class::kInteger;
      return passed;
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
      return aggregate(walk, type);
    default:
      return passed;
  }
}

Parameter::Kind kind_of(Dwarf_Die type) {
  switch (dwarf_tag(&type)) {
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
    case DW_TAG_unspecified_type:
      return Parameter::Kind::kPointer;
    case DW_TAG_enumeration_type: {
      const auto underlying = referred(type, DW_AT_type);
      return underlying ? kind_of(peeled(*underlying)) : Parameter::Kind::kSigned;
    }
    case DW_TAG_base_type:
      break;
    default:
      return Parameter::Kind::kUnknown;
  }
  const std::uint64_t bytes = number(type, DW_AT_byte_size).value_or(0);
  switch (number(type, DW_AT_encoding).value_or(0)) {
    case DW_ATE_boolean:
      return Parameter::Kind::kBool;
    case DW_ATE_float:
      return bytes == 4 || bytes == 8 ? Parameter::Kind::kFloat : Parameter::Kind::kUnknown;
    case DW_ATE_signed:
      return Parameter::Kind::kSigned;
    case DW_ATE_signed_char:
    case DW_ATE_unsigned_char:
      if (name_of(type) == "char") return Parameter::Kind::kChar;
      return number(type, DW_AT_encoding) == std::uint64_t{DW_ATE_signed_char} ? Parameter::Kind::kSigned
                                                                               : Parameter::Kind::kUnsigned;
    case DW_ATE_unsigned:
    case DW_ATE_UTF:
      return Parameter::Kind::kUnsigned;
    default:
      return Parameter::Kind::kUnknown;
  }
}

/// The function's parameters stand in its declaration where the code is a copy of an inlined one.
trace::Parameters parameters_of(Walk& walk, Dwarf_Die function) {
  if (number(function, DW_AT_calling_convention).value_or(DW_CC_normal) != DW_CC_normal) return std::nullopt;
  CallingConvention convention(walk.architecture);
  if (auto result = referred(function, DW_AT_type)) convention.returns(passed_type(walk, peeled(*result)));
  Dwarf_Die source = function;
  if (dwarf_hasattr(&function, DW_AT_abstract_origin) != 0) {
    if (const auto origin = referred(function, DW_AT_abstract_origin)) source = *origin;
  }
  trace::Parameters parameters(std::in_place);
  const bool known = each_child(walk, source, [&](Dwarf_Die& child) {
    const int tag = dwarf_tag(&child);
    if (tag == DW_TAG_unspecified_parameters) parameters->push_back({});
    if (tag != DW_TAG_formal_parameter) return true;
    Parameter p;
    p.name = name_of(child);
    // Of constructors and destructors of classes with virtual bases: only some of their copies have them.
    if (p.name == "__in_chrg") return true;
    if (p.name == "__vtt_parm") return false;
    const auto type = referred(child, DW_AT_type);
    p.type = type_name(type);
    const PassedType passed = type ? passed_type(walk, peeled(*type)) : PassedType{};
    const auto where = convention.pass(passed);
    const bool is_number = passed.kind == Class::kInteger || passed.kind == Class::kFloat;
    if (is_number && passed.bytes <= 8 && where.place != Parameter::Place::kNone) {
      p.kind = kind_of(peeled(*type));
      p.bytes = static_cast<std::uint8_t>(passed.bytes);
      p.place = where.place;
      p.index = where.index;
    }
    parameters->push_back(std::move(p));
    return true;
  });
  return known ? parameters : std::nullopt;
}

std::optional<std::uint64_t> entry_of(Dwarf_Die& function) {
  Dwarf_Addr address = 0;
  if (dwarf_lowpc(&function, &address) == 0) return address;
  // The first range is the one that is entered, the others are rarely executed parts.
  Dwarf_Addr base = 0;
  Dwarf_Addr end = 0;
  if (dwarf_ranges(&function, 0, &base, &address, &end) > 0) return address;
  return std::nullopt;
}

void add_functions(Walk& walk, Dwarf_Die scope, int depth, ParametersByAddress& found) {
  each_child(walk, scope, [&](Dwarf_Die& child) {
    switch (dwarf_tag(&child)) {
      case DW_TAG_subprogram:
        if (const auto entry = entry_of(child)) found.try_emplace(*entry, parameters_of(walk, child));
        [[fallthrough]];
      case DW_TAG_namespace:
      case DW_TAG_class_type:
      case DW_TAG_structure_type:
      case DW_TAG_lexical_block:
        if (depth < kMostNested && dwarf_haschildren(&child) == 1)
          add_functions(walk, child, depth + 1, found);
        break;
      default:
        break;
    }
    return true;
  });
}

Architecture architecture_of(Dwarf* dwarf) {
  GElf_Ehdr header;
  if (gelf_getehdr(dwarf_getelf(dwarf), &header) == nullptr) return Architecture::kUnknown;
  switch (header.e_machine) {
    case EM_X86_64:
      return Architecture::kX86_64;
    case EM_AARCH64:
      return Architecture::kAArch64;
    case EM_RISCV:
      return Architecture::kRiscV64;
    default:
      return Architecture::kUnknown;
  }
}

}  // namespace

ParametersByAddress read_parameters(const std::string& file) {
  ParametersByAddress found;
  const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return found;
  const std::unique_ptr<Dwarf, decltype(&dwarf_end)> dwarf(dwarf_begin(fd.get(), DWARF_C_READ), &dwarf_end);
  if (dwarf == nullptr) return found;
  Walk walk{.architecture = architecture_of(dwarf.get())};
  Dwarf_CU* unit = nullptr;
  Dwarf_Die die;
  while (dwarf_get_units(dwarf.get(), unit, &unit, nullptr, nullptr, &die, nullptr) == 0) {
    add_functions(walk, die, 0, found);
  }
  return found;
}

bool has_other_parameters(const std::string& symbol) {
  for (const char* mark : {".constprop.", ".isra.", ".part.", ".cold"}) {
    if (symbol.find(mark) != std::string::npos) return true;
  }
  return false;
}

}  // namespace calltap::cli
