// What a site with CALL_OPS looks like on AArch64.
#pragma once

#include <stdint.h>

enum { kBytesOfCall = 8 };

static const uint32_t* call_site_words(const void* function) {
  const uint32_t* words = (const uint32_t*)function;
  const uint32_t kBtiC = 0xd503245f;
  return *words == kBtiC ? words + 1 : words;
}
static int is_prepared(const void* function) { return call_site_words(function)[0] == 0xaa1e03e9; }
static int is_calling(const void* function) {
  return (call_site_words(function)[1] & 0xfc000000) == 0x94000000;
}
static int is_off(const void* function) { return call_site_words(function)[1] == 0xd503201f; }
