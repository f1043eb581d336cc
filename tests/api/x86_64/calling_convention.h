// How arguments are passed, as far as handlers see it.
#pragma once

enum { kRegisterArguments = 6, kIsReturnAddressOnStack = 1 };
