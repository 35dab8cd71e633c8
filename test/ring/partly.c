/*
 * Loaded before everything else (LD_PRELOAD): of every other batch the kernel is given the first
 * few submissions only, and answers that it has taken so many, as when it is out of memory. Of our
 * rings: those of libuv are not registered with themselves.
 *
 * Source: io_uring_enter(2), ld.so(8)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

enum { enter = 426, registered_ring = 1 << 4, arguments = 6 };

static long given(long count) {
  static atomic_uint batches;
  unsigned batch = atomic_fetch_add(&batches, 1);
  return count < 2 || batch % 2 == 0 ? count : 1 + (long)(batch / 2) % (count - 1);
}

long syscall(long number, ...) {
  static long (*next)(long, ...);
  long all[arguments];
  va_list rest;
  va_start(rest, number);
  for (int index = 0; index < arguments; index++) all[index] = va_arg(rest, long);
  va_end(rest);
  if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "syscall");
  if (number == enter && all[3] & registered_ring) all[1] = given(all[1]);
  return next(number, all[0], all[1], all[2], all[3], all[4], all[5]);
}
