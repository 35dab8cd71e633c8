/*
 * What libstdc++ and libgcc, built for glibc, want of it and musl has not: so that Bun for musl can
 * be run where there is no libstdc++ for musl. For that program alone; the addon needs none of it.
 */
#define _GNU_SOURCE
#include <locale.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/random.h>
#include <time.h>

struct {
  unsigned words[8];
} __cpu_model;
char __libc_single_threaded;

int __cpu_indicator_init(void) {
  return 0;
}

/* "Not found": the unwinder then asks dl_iterate_phdr(3). */
int _dl_find_object(void *address, void *result) {
  (void)address;
  (void)result;
  return -1;
}

int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *handle) {
  (void)function;
  (void)object;
  (void)handle;
  return 0;
}

size_t __strftime_l(char *out, size_t room, const char *format, const struct tm *time, locale_t l) {
  return strftime_l(out, room, format, time, l);
}

uint32_t arc4random(void) {
  uint32_t number = 0;
  getrandom(&number, sizeof number, 0);
  return number;
}
