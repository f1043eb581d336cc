// How arguments are passed, as far as handlers see it.
#pragma once

enum { kRegisterArguments = 8, kIsReturnAddressOnStack = 0 };
