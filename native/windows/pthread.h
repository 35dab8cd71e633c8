/*
 * The part of POSIX threads that the pool uses, over what every Windows has. mingw's own would add
 * 40 KB and a runtime to be started.
 */
#ifndef HOLDFAST_WINDOWS_PTHREAD_H
#define HOLDFAST_WINDOWS_PTHREAD_H

#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <stdlib.h>
#include <time.h>

#include "errno.h"

#define PTHREAD_ONCE_INIT INIT_ONCE_STATIC_INIT

typedef SRWLOCK pthread_mutex_t;
typedef CONDITION_VARIABLE pthread_cond_t;
typedef HANDLE pthread_t;
typedef INIT_ONCE pthread_once_t;
typedef int pthread_mutexattr_t;
typedef int pthread_condattr_t;

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int pthread_mutex_destroy(pthread_mutex_t *mutex);
int pthread_mutex_lock(pthread_mutex_t *mutex);
int pthread_mutex_unlock(pthread_mutex_t *mutex);

int pthread_condattr_init(pthread_condattr_t *attributes);
int pthread_condattr_setclock(pthread_condattr_t *attributes, clockid_t clock);
int pthread_condattr_destroy(pthread_condattr_t *attributes);
int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int pthread_cond_destroy(pthread_cond_t *condition);
int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
/* `until` is of CLOCK_MONOTONIC. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until);
int pthread_cond_signal(pthread_cond_t *condition);
int pthread_cond_broadcast(pthread_cond_t *condition);

int pthread_once(pthread_once_t *once, void (*run)(void));
int pthread_create(pthread_t *thread, const void *attributes, void *(*work)(void *),
                   void *argument);
int pthread_join(pthread_t thread, void **answer);

#endif
