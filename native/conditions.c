#define _GNU_SOURCE
#include "conditions.h"

#include <dlfcn.h>

struct condition_calls condition;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int is_whole;

#ifdef HOLDFAST_ANY_LIBC

/* POSIX has it that a pointer of dlsym(3) is a function's; ISO C does not, hence the copy. */
static int find(void *function, const char *name) {
  void *found = dlsym(RTLD_DEFAULT, name);
  *(void **)function = found;
  return found != NULL;
}

static void find_all(void) {
  is_whole = find(&condition.init, "pthread_cond_init") &&
             find(&condition.destroy, "pthread_cond_destroy") &&
             find(&condition.wait, "pthread_cond_wait") &&
             find(&condition.timedwait, "pthread_cond_timedwait") &&
             find(&condition.signal, "pthread_cond_signal") &&
             find(&condition.broadcast, "pthread_cond_broadcast");
}

#else

static void find_all(void) {
  condition = (struct condition_calls){
      .init = pthread_cond_init,
      .destroy = pthread_cond_destroy,
      .wait = pthread_cond_wait,
      .timedwait = pthread_cond_timedwait,
      .signal = pthread_cond_signal,
      .broadcast = pthread_cond_broadcast,
  };
  is_whole = 1;
}

#endif

int conditions_find(void) {
  pthread_once(&once, find_all);
  return is_whole;
}
