/*
 * Own worker threads, never libuv's: a sync that takes a second must not hold up fs.readFile.
 *
 * Invariants: 1. A job runs whole on one thread; jobs of a descriptor start in order of arrival, as
 *                long as no more than 64 descriptors are busy at once.
 *             2. One descriptor never holds every thread (unless there is one), and descriptors
 *                take turns: a hundred syncs of one file let a read of another through.
 *             3. `wake` is called at most once between two calls of pool_take_done.
 *             4. After pool_stop no thread of the pool exists and no system call is under way.
 */
#ifndef HOLDFAST_POOL_H
#define HOLDFAST_POOL_H

#include <stdint.h>

#include "rows.h"

#define POOL_THREADS_MAX 64

struct job {
  struct job *next;
  uint32_t count;      /* operations, one linked run */
  uint32_t view_count; /* room in `views` */
  int small;           /* kept for reuse when given back */
  uint32_t is_outstanding; /* 1: the loop is kept alive for it */
  int was_refused;         /* nothing of it has happened */
  struct operation *operations;
  int64_t *results;
  struct iovec *views;
};

struct pool;

struct pool *pool_create(int threads, void (*wake)(void *), void *wake_argument);
void pool_set_threads(struct pool *pool, int threads);
int pool_threads(const struct pool *pool);

/* A job with room for `count` operations and `view_count` views; NULL when memory is out. */
struct job *pool_take_job(struct pool *pool, uint32_t count, uint32_t view_count);
void pool_give_back(struct pool *pool, struct job *job);

/* Hands a list of jobs over; threads start as they are needed. -errno when there is not one thread
 * to be had: the jobs are then still the caller's. */
int pool_submit(struct pool *pool, struct job *jobs);

/* The finished jobs, oldest first; NULL when there are none. */
struct job *pool_take_done(struct pool *pool);

/* Waits until there is a finished job, or the time is over (negative: never). */
void pool_wait(struct pool *pool, double timeout_ms);

/* Finishes the job that has this slot, with -ECANCELED throughout, if no thread has begun it. */
void pool_cancel(struct pool *pool, int32_t slot);

/* Joins every thread when it has ended what it was at. What has not started never will. */
void pool_halt(struct pool *pool);

/* Halts, drops what was not taken from it, frees the pool. */
void pool_stop(struct pool *pool);

#endif
