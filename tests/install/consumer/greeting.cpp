extern "C" const char* greeting(int number) { return number % 2 == 0 ? "even" : "odd"; }
