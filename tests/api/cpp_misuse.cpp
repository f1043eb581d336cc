// Each MISUSE is a mistake that does not compile; what the compiler must say is in CMakeLists.txt.
#include "calltap/calltap.hpp"

using calltap::Callback;
using calltap::EntryRegs;
using calltap::ExitRegs;
using calltap::Probe;

struct TooLarge {
  char bytes[CT_DATA_MAX + 1];
};

int function(int n);

void misuse() {
  int n = 0;
#if MISUSE == 1  // many threads would change n at once
  static_cast<void>(Callback::make([n](EntryRegs) mutable { ++n; }));
#elif MISUSE == 2
  static_cast<void>(Probe::make<TooLarge>([](EntryRegs, TooLarge&) {}, [](ExitRegs, TooLarge&) {}));
#elif MISUSE == 3
  static_cast<void>(Probe::make<std::string>([](EntryRegs, std::string&) {}, [](ExitRegs, std::string&) {}));
#elif MISUSE == 4
  static_cast<void>(Probe::make([](EntryRegs) { return 1; }, [](ExitRegs) {}));
#elif MISUSE == 5  // there is no return value at the entry
  static_cast<void>(Callback::make([](EntryRegs regs) { regs.return_value(); }));
#elif MISUSE == 6  // another signature
  static_cast<void>(calltap::Redirect::make(function, [](long) { return 0; }));
#elif MISUSE == 7  // nobody would keep it
  Callback::make([](EntryRegs) {});
#endif
  static_cast<void>(n);
}
