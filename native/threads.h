/*
 * Threads that run none of the program's signal handlers, and condition variables by the present
 * functions of the C library.
 *
 * glibc for x86-64 has two of each of the latter: the old take a pthread_cond_t for a pointer and
 * refuse a clock of its own (EINVAL), the present ones are of version GLIBC_2.3.2. The addon that
 * serves every C library names no versions, and such a name is bound to the old one (ld.so(8),
 * "Symbol versioning"); dlsym(3) finds the present one. Seen on glibc 2.36: a wait of a second on
 * CLOCK_MONOTONIC ended at once.
 */
#ifndef HOLDFAST_THREADS_H
#define HOLDFAST_THREADS_H

#include <pthread.h>
#include <time.h>

struct condition_calls {
  int (*init)(pthread_cond_t *, const pthread_condattr_t *);
  int (*destroy)(pthread_cond_t *);
  int (*wait)(pthread_cond_t *, pthread_mutex_t *);
  int (*timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  int (*signal)(pthread_cond_t *);
  int (*broadcast)(pthread_cond_t *);
};

extern struct condition_calls condition;

/* Fills `condition`, once for the process; 0 if the C library has them not. */
int threads_find(void);

/* A condition that can be waited for until a time of CLOCK_MONOTONIC, and that wait: 0, or the
 * refusal (ETIMEDOUT). */
void condition_init_timed(pthread_cond_t *timed);
int condition_wait_until(pthread_cond_t *timed, pthread_mutex_t *lock,
                         const struct timespec *until);

/*
 * Signals belong to the program's own threads: a handler must not run on ours. But for a fault of
 * the thread itself: blocked, it ends the process, also where somebody could mend it (maps.h).
 * Answers 0 or the refusal.
 */
int thread_start(pthread_t *thread, void *(*work)(void *), void *argument);

#endif
