// What a site with CALL_OPS looks like on AArch64.
#pragma once

#include <stdint.h>

enum { kBytesOfCall = 8 };

static inline const uint32_t* call_site_words(const void* function) {
  const uint32_t* words = (const uint32_t*)function;
  const uint32_t kBtiC = 0xd503245f;
  return *words == kBtiC ? words + 1 : words;
}
static inline int is_prepared(const void* function) { return call_site_words(function)[0] == 0xaa1e03e9; }
static inline int is_calling(const void* function) {
  return (call_site_words(function)[1] & 0xfc000000) == 0x94000000;
}
/// What the site calls.
static inline const void* called_by(const void* function) {
  const uint32_t* word = call_site_words(function) + 1;
  return (const char*)word + ((int32_t)(*word << 6) >> 4);
}
// A site can call what is in the same program, and does not reach what is as far away as that.
enum { kReachesProgram = 1 };
#define FAR_AWAY ((uintptr_t)1 << 28)
// Jumps to the address behind it.
#define JUMP_FROM_AFAR \
  { 0x58000050, 0xd61f0200 } /* ldr x16, 8; br x16 */
static inline int is_off(const void* function) { return call_site_words(function)[1] == 0xd503201f; }
