// In which registers a function's parameters come, one after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "trace/parameter.h"

namespace calltap::cli {

enum class Architecture : std::uint8_t { kUnknown, kX86_64, kAArch64, kRiscV64 };

/// What a calling convention has to know of a type.
struct PassedType {
  enum class Class : std::uint8_t {
    kUnknown,     // no telling what it takes
    kInteger,     // also pointers, enumerations and bool
    kFloat,       // of 2, 4, 8 or 16 bytes
    kAggregate,   // by value
    kByReference  // an object that is not trivially copied: its address is passed
  };
  /// One number within an aggregate.
  struct Field {
    std::uint64_t offset;
    std::uint64_t bytes;
    bool is_float;
  };

  Class kind = Class::kUnknown;
  std::uint64_t bytes = 0;
  bool is_x87 = false;        // x86-64: long double
  std::vector<Field> fields;  // of an aggregate of at most 64 bytes
};

class CallingConvention {
 public:
  explicit CallingConvention(Architecture architecture) : architecture_(architecture) {}

  /// Before the first parameter. A result that is returned in memory may take a register.
  void returns(const PassedType& type);
  /// The register of the next parameter, if it comes whole in one.
  struct Register {
    trace::Parameter::Place place = trace::Parameter::Place::kNone;
    std::uint8_t index = 0;
  };
  Register pass(const PassedType& type);

 private:
  Register take_integers(std::uint64_t count);
  Register take_floats(std::uint64_t count);
  Register pass_aggregate(const PassedType& type);
  void pass_on_x86_64(const PassedType& type);
  void pass_on_aarch64(const PassedType& type);
  void pass_on_riscv64(const PassedType& type);
  void lose_track() { lost_ = true; }

  Architecture architecture_;
  std::uint64_t integers_ = 0;  // taken
  std::uint64_t floats_ = 0;
  bool lost_ = false;
};

}  // namespace calltap::cli
