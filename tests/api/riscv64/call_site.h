// What a site with CALL_OPS looks like on RISC-V.
#pragma once

#include <stdint.h>

enum { kBytesOfCall = 8 };

static const uint32_t* call_site_words(const void* function) { return (const uint32_t*)function; }
static int is_prepared(const void* function) { return (call_site_words(function)[0] & 0xfff) == 0x297; }
static int is_calling(const void* function) { return (call_site_words(function)[1] & 0xfffff) == 0x282e7; }
static int is_off(const void* function) { return call_site_words(function)[1] == 0x00000013; }
