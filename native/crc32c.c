/*
 * One chain of the instruction, eight bytes a step: 3 cycles of latency each, 6 to 8 GB/s, which is
 * above what memory gives to a scan; several chains and a combination would not show.
 */
#include "crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <nmmintrin.h>
#include <stdatomic.h>

#ifdef __clang__
#define STEP_TARGET __attribute__((target("sse4.2,crc32")))
#else
#define STEP_TARGET __attribute__((target("sse4.2")))
#endif
#define step8(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))
#define step1(crc, byte) _mm_crc32_u8((crc), (byte))

/*
 * Asked here, since __builtin_cpu_supports() brings 4 KB along; once, since a virtual machine stops
 * at the instruction.
 */
static int have_instruction(void) {
  static _Atomic int known; /* 1: no, 2: yes */
  int answer = atomic_load_explicit(&known, memory_order_relaxed);
  if (answer == 0) {
    unsigned a, b, c = 0, d;
    answer = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2) != 0 ? 2 : 1;
    atomic_store_explicit(&known, answer, memory_order_relaxed);
  }
  return answer == 2;
}

#elif defined(__aarch64__) && (defined(__linux__) || defined(__APPLE__))
#define STEP_TARGET __attribute__((target("+crc")))

STEP_TARGET static inline uint32_t step8(uint32_t crc, uint64_t word) {
  __asm__("crc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
  return crc;
}

STEP_TARGET static inline uint32_t step1(uint32_t crc, uint8_t byte) {
  __asm__("crc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)byte));
  return crc;
}

#ifdef __APPLE__
/* Every processor of Apple's Macs has it. */
static int have_instruction(void) { return 1; }
#else
#include <sys/auxv.h>

#define CAPABILITY_CRC32 (1UL << 7) /* HWCAP_CRC32 of asm/hwcap.h */

static int have_instruction(void) {
  return (getauxval(AT_HWCAP) & CAPABILITY_CRC32) != 0;
}
#endif

#endif

#ifdef STEP_TARGET
STEP_TARGET static uint32_t by_instruction(uint32_t crc, const uint8_t *bytes, size_t length) {
  for (; length >= 8; bytes += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    crc = step8(crc, word);
  }
  for (; length > 0; bytes++, length--) crc = step1(crc, *bytes);
  return crc;
}
#else
static int have_instruction(void) {
  return 0;
}

static uint32_t by_instruction(uint32_t crc, const uint8_t *bytes, size_t length) {
  (void)bytes;
  (void)length;
  return crc;
}
#endif

/* Half a byte a step: a table of a cache line, for processors of before 2008. */
static uint32_t by_table(uint32_t crc, const uint8_t *bytes, size_t length) {
  static const uint32_t table[16] = {
      0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
      0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
      0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
  };
  for (; length > 0; bytes++, length--) {
    crc ^= *bytes;
    crc = (crc >> 4) ^ table[crc & 15U];
    crc = (crc >> 4) ^ table[crc & 15U];
  }
  return crc;
}

uint32_t crc32c(uint32_t seed, const void *bytes, size_t length) {
  uint32_t crc = ~seed;
  crc = have_instruction() ? by_instruction(crc, bytes, length) : by_table(crc, bytes, length);
  return ~crc;
}
