#include "pthread.h"

#include <stdint.h>

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes) {
  (void)attributes;
  InitializeSRWLock(mutex);
  return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex) {
  (void)mutex;
  return 0;
}

int pthread_mutex_lock(pthread_mutex_t *mutex) {
  AcquireSRWLockExclusive(mutex);
  return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex) {
  ReleaseSRWLockExclusive(mutex);
  return 0;
}

int pthread_condattr_init(pthread_condattr_t *attributes) {
  *attributes = 0;
  return 0;
}

/* There is one clock for all of them, which nobody sets. */
int pthread_condattr_setclock(pthread_condattr_t *attributes, clockid_t clock) {
  (void)attributes;
  return clock == CLOCK_MONOTONIC ? 0 : EINVAL;
}

int pthread_condattr_destroy(pthread_condattr_t *attributes) {
  (void)attributes;
  return 0;
}

int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes) {
  (void)attributes;
  InitializeConditionVariable(condition);
  return 0;
}

int pthread_cond_destroy(pthread_cond_t *condition) {
  (void)condition;
  return 0;
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
  SleepConditionVariableSRW(condition, mutex, INFINITE, 0);
  return 0;
}

/* CLOCK_MONOTONIC alone; clock_gettime(3) of mingw is its thread library's. */
int clock_gettime(clockid_t clock, struct timespec *now) {
  (void)clock;
  LARGE_INTEGER count, frequency;
  QueryPerformanceCounter(&count);
  QueryPerformanceFrequency(&frequency);
  now->tv_sec = (time_t)(count.QuadPart / frequency.QuadPart);
  now->tv_nsec = (long)(count.QuadPart % frequency.QuadPart * 1000000000 / frequency.QuadPart);
  return 0;
}

/* Longer waits are cut to 24 days: whoever waits looks again. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t left_ns = (int64_t)(until->tv_sec - now.tv_sec) * 1000000000 + until->tv_nsec;
  left_ns -= now.tv_nsec;
  if (left_ns <= 0) return ETIMEDOUT;
  int64_t left_ms = (left_ns + 999999) / 1000000;
  DWORD wait_ms = left_ms > INT32_MAX ? INT32_MAX : (DWORD)left_ms;
  return SleepConditionVariableSRW(condition, mutex, wait_ms, 0) ? 0 : ETIMEDOUT;
}

int pthread_cond_signal(pthread_cond_t *condition) {
  WakeConditionVariable(condition);
  return 0;
}

int pthread_cond_broadcast(pthread_cond_t *condition) {
  WakeAllConditionVariable(condition);
  return 0;
}

struct once_call {
  void (*run)(void);
};

static BOOL CALLBACK run_once(PINIT_ONCE once, PVOID call, PVOID *context) {
  (void)once;
  (void)context;
  ((struct once_call *)call)->run();
  return TRUE;
}

int pthread_once(pthread_once_t *once, void (*run)(void)) {
  struct once_call call = {run};
  return InitOnceExecuteOnce(once, run_once, &call, NULL) ? 0 : EINVAL;
}

struct start {
  void *(*work)(void *);
  void *argument;
};

static DWORD WINAPI begin(LPVOID argument) {
  struct start start = *(struct start *)argument;
  free(argument);
  start.work(start.argument);
  return 0;
}

int pthread_create(pthread_t *thread, const void *attributes, void *(*work)(void *),
                   void *argument) {
  (void)attributes;
  struct start *start = malloc(sizeof *start);
  if (start == NULL) return EAGAIN;
  *start = (struct start){work, argument};
  *thread = CreateThread(NULL, 0, begin, start, 0, NULL);
  if (*thread != NULL) return 0;
  free(start);
  return EAGAIN;
}

int pthread_join(pthread_t thread, void **answer) {
  (void)answer;
  WaitForSingleObject(thread, INFINITE);
  CloseHandle(thread);
  return 0;
}
