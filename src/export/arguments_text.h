// A call's arguments as text: by name and type where the function's parameters are known, otherwise the
// registers that could hold some.
#pragma once

#include <string>
#include <string_view>

#include "trace/call_arguments.h"
#include "trace/parameter.h"

namespace calltap::export_ {

/// "f(n=3, p=0x7f12, ...)": of a name that has a C++ signature, the values are in its place. Where the
/// parameters are not known, "f() [rdi=0x3 rsi=0x7f12 ...]": `machine` is as uname has it.
std::string call_with_arguments(std::string_view name, const trace::CallArguments& arguments,
                                const trace::Parameters& parameters, std::string_view machine);

/// Members for a JSON object, each with a comma before it: ,"arguments":[{"name":..,"type":..,"value":..}],
/// or
/// ,"registers":{"rdi":"0x3",...}. A pointer is a string; null is a value that is not known.
std::string json_with_arguments(const trace::CallArguments& arguments, const trace::Parameters& parameters,
                                std::string_view machine);

/// Of the machine that this runs on.
const std::string& this_machine();

}  // namespace calltap::export_
