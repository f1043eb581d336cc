// Running checks one after the other, each in a process of its own. Knows nothing of the interface: late.c
// has it in a process without the library.
#pragma once

enum CheckStatus { kPassed = 0, kFailed = 1, kSkipped = 77, kNoSuchCheck = 78 };

/// Runs the check with the name, or without one the number-th, in this process. Returns a CheckStatus.
int run_check(const char* name, unsigned number);

/// Lets `run` run every check in a child. Prints what came of each and returns kPassed or kFailed.
int run_all_checks(int (*run)(const char* name, unsigned number));
