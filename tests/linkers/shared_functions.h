// What two source files of a C++ program share: functions that each of them has a copy of, in a group of
// which the linker keeps one.
#pragma once

#include <vector>

#include "calls.h"

HOOKED inline int inline_function(int n) {
  CALLED();
  static int calls;
  return n + ++calls;
}

template <class T>
HOOKED T template_function(T value) {
  CALLED_AS(sizeof(T) == sizeof(int) ? "int template_function<int>" : "long template_function<long>");
  return value + value;
}

HOOKED inline int throws_seldom(int n) {
  CALLED();
  if (n > 1000) throw std::vector<int>(static_cast<std::size_t>(n), inline_function(n));
  return n + 1;
}

// Called by its initialiser, before main().
HOOKED inline int initial_value() {
  CALLED();
  return 7;
}

struct Settings {
  static inline const int by_function = initial_value();
  static inline const int by_lambda = [](int n) { return inline_function(n); }(by_function);
};

struct Shape {
  int base = 1;
  HOOKED virtual int area(int n) {
    CALLED_AS("Shape::area");
    return base + n;
  }
  virtual ~Shape() = default;
};

// A call through a Shape pointer goes through a thunk: a jump without an entry of its own.
struct Square : virtual Shape {
  int side = 2;
  HOOKED int area(int n) override {
    CALLED_AS("Square::area");
    return side * n;
  }
};

HOOKED inline int unused_inline_function(int n) {
  CALLED();
  return n - 1;
}

HOOKED int in_the_other_file(int n);
Shape* make_square();

/// Calls all of the above.
HOOKED inline int use_everything(int n) {
  CALLED();
  int sum = inline_function(n) + template_function(n) + static_cast<int>(template_function(3L));
  sum += throws_seldom(n) + Settings::by_function + Settings::by_lambda;
  Shape* shape = make_square();
  sum += shape->area(n);
  delete shape;
  try {
    throws_seldom(2000 + n);
  } catch (const std::vector<int>& thrown) {
    sum += static_cast<int>(thrown.size());
  }
  return sum;
}
