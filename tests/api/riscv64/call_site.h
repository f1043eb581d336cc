// What a site with CALL_OPS looks like on RISC-V.
#pragma once

#include <stdint.h>

enum { kBytesOfCall = 8 };

static inline const uint32_t* call_site_words(const void* function) { return (const uint32_t*)function; }
static inline int is_prepared(const void* function) {
  return (call_site_words(function)[0] & 0xfff) == 0x297;
}
static inline int is_calling(const void* function) {
  return (call_site_words(function)[1] & 0xfffff) == 0x282e7;
}
/// What the site calls.
static inline const void* called_by(const void* function) {
  const uint32_t* words = call_site_words(function);
  return (const char*)words + (int32_t)(words[0] & 0xfffff000) + ((int32_t)words[1] >> 20);
}
// A site's first instruction is there for good, and with it the 4 KiB that the second one reaches.
enum { kReachesProgram = 0 };
#define FAR_AWAY ((uintptr_t)1 << 32)
// Jumps to the address behind it.
#define JUMP_FROM_AFAR \
  { 0x00000317, 0x01033303, 0x00030067, 0x00000013 } /* auipc t1, 0; ld t1, 16(t1); jr t1; nop */
static inline int is_off(const void* function) { return call_site_words(function)[1] == 0x00000013; }
