// Replaces a function that has a bug while the program runs; the replacement calls the original where that is
// right.
#include <calltap/calltap.hpp>
#include <cstdio>

namespace {

/// Forgets that full centuries are leap years only every 400 years.
[[gnu::noinline]] int days_in_february(int year) {
  std::printf("%s", "");  // so that the compiler cannot know the result
  return year % 4 == 0 ? 29 : 28;
}

int corrected_days_in_february(int year) {
  if (year % 100 == 0 && year % 400 != 0) return 28;
  // Past all hooks: days_in_february() itself would lead here again.
  return calltap::original(days_in_february)(year);
}

void print(const char* when) {
  std::printf("%-9s", when);
  for (const int year : {1900, 2000, 2023, 2024}) std::printf("  %d: %d days", year, days_in_february(year));
  std::printf("\n");
}

}  // namespace

int main() {
  print("buggy");
  {
    // The compiler checks that the signatures agree.
    auto patch =
        calltap::Redirect::make(days_in_february, corrected_days_in_february, {.name = "february-1"});
    if (!patch) {
      std::fprintf(stderr, "%s\n", patch.error().text());
      return 1;
    }
    if (auto attached = patch->attach(); !attached) {
      std::fprintf(stderr, "%s\n", attached.error().text());
      return 1;
    }
    print("replaced");
    // The end of `patch` takes the replacement back.
  }
  print("buggy");
  return 0;
}
