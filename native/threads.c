#define _GNU_SOURCE
#include "threads.h"

#ifdef HOLDFAST_ANY_LIBC
#include <dlfcn.h>
#endif
#ifndef _WIN32
#include <signal.h>
#endif

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

int threads_find(void) {
  pthread_once(&once, find_all);
  return is_whole;
}

#ifdef __APPLE__

/* There is no pthread_condattr_setclock; a wait can be told how long instead (pthread.h). */
void condition_init_timed(pthread_cond_t *timed) { condition.init(timed, NULL); }

int condition_wait_until(pthread_cond_t *timed, pthread_mutex_t *lock,
                         const struct timespec *until) {
  struct timespec now, left;
  clock_gettime(CLOCK_MONOTONIC, &now);
  left.tv_sec = until->tv_sec - now.tv_sec;
  left.tv_nsec = until->tv_nsec - now.tv_nsec;
  if (left.tv_nsec < 0) {
    left.tv_sec--;
    left.tv_nsec += 1000000000;
  }
  if (left.tv_sec < 0) left = (struct timespec){0};
  return pthread_cond_timedwait_relative_np(timed, lock, &left);
}

#else

void condition_init_timed(pthread_cond_t *timed) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  condition.init(timed, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

int condition_wait_until(pthread_cond_t *timed, pthread_mutex_t *lock,
                         const struct timespec *until) {
  return condition.timedwait(timed, lock, until);
}

#endif

#ifdef _WIN32

int thread_start(pthread_t *thread, void *(*work)(void *), void *argument) {
  return pthread_create(thread, NULL, work, argument);
}

#else

int thread_start(pthread_t *thread, void *(*work)(void *), void *argument) {
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGSEGV);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int refused = pthread_create(thread, NULL, work, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return refused;
}

#endif
