#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "threads.h"

#define BUCKET_COUNT 64U /* one bit each in the masks below */
#define SMALL_VIEWS 8U   /* a short sequence takes no heap: its job is reused */

struct bucket {
  struct job *head;
  struct job *tail;
  int running;
  int32_t fd; /* whose it is while it is busy */
};

struct pool {
  pthread_mutex_t lock;
  pthread_cond_t work;
  pthread_cond_t ended; /* something is done, for who waits in pool_wait */
  pthread_t threads[POOL_THREADS_MAX];
  int started;
  int wanted;
  int idle;
  int queued; /* jobs in all buckets */
  int stopping;
  uint64_t busy;      /* something waits or runs */
  uint64_t displaced; /* busy, and of a descriptor whose home was taken */
  uint64_t nonempty;
  uint64_t saturated;
  unsigned cursor;
  struct bucket buckets[BUCKET_COUNT];
  struct job *done_head;
  struct job *done_tail;
  int wake_pending;
  int waits;
  void (*wake)(void *);
  void *wake_argument;
  struct job *spare; /* touched by the submitting thread alone */
};

struct pool *pool_create(int threads, void (*wake)(void *), void *wake_argument) {
  if (!threads_find()) return NULL;
  struct pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL) return NULL;
  pthread_mutex_init(&pool->lock, NULL);
  condition.init(&pool->work, NULL);
  condition_init_timed(&pool->ended);
  pool->wanted = threads;
  pool->wake = wake;
  pool->wake_argument = wake_argument;
  return pool;
}

int pool_threads(const struct pool *pool) { return pool->wanted; }

static unsigned first_of(uint64_t mask) { return (unsigned)__builtin_ctzll(mask); }

static unsigned home_of(int32_t fd) { return fd < 0 ? 0U : (unsigned)fd % BUCKET_COUNT; }

/*
 * A busy descriptor has a bucket of its own, at home where that is free; with more of them than
 * buckets, some share. By its number alone a file stood behind the syncs of another.
 */
static unsigned bucket_of(const struct pool *pool, int32_t fd) {
  unsigned home = home_of(fd);
  uint64_t bit = UINT64_C(1) << home;
  if ((pool->busy & bit) && pool->buckets[home].fd == fd) return home;
  for (uint64_t rest = pool->displaced; rest != 0; rest &= rest - 1) {
    if (pool->buckets[first_of(rest)].fd == fd) return first_of(rest);
  }
  if (!(pool->busy & bit) || pool->busy == UINT64_MAX) return home;
  return first_of(~pool->busy);
}

/* Invariant 2: one bucket leaves a thread to the others. */
static int bucket_limit(const struct pool *pool) { return pool->wanted > 1 ? pool->wanted - 1 : 1; }

static void mark(struct pool *pool, unsigned index) {
  const struct bucket *bucket = &pool->buckets[index];
  uint64_t bit = UINT64_C(1) << index;
  if (bucket->head == NULL && bucket->running == 0) {
    pool->busy &= ~bit;
    pool->displaced &= ~bit;
  }
  pool->nonempty = bucket->head != NULL ? pool->nonempty | bit : pool->nonempty & ~bit;
  pool->saturated =
      bucket->running >= bucket_limit(pool) ? pool->saturated | bit : pool->saturated & ~bit;
}

static struct job *take_next(struct pool *pool, unsigned *index_out) {
  uint64_t eligible = pool->nonempty & ~pool->saturated;
  if (eligible == 0) return NULL;
  unsigned shift = pool->cursor % BUCKET_COUNT;
  uint64_t turned = shift == 0 ? eligible : (eligible >> shift) | (eligible << (64U - shift));
  unsigned index = (shift + (unsigned)__builtin_ctzll(turned)) % BUCKET_COUNT;
  struct bucket *bucket = &pool->buckets[index];
  struct job *job = bucket->head;
  bucket->head = job->next;
  if (bucket->head == NULL) bucket->tail = NULL;
  bucket->running++;
  pool->queued--;
  pool->cursor = index + 1;
  mark(pool, index);
  *index_out = index;
  return job;
}

static void add_done(struct pool *pool, struct job *job) {
  job->next = NULL;
  if (pool->done_tail == NULL) pool->done_head = job;
  else pool->done_tail->next = job;
  pool->done_tail = job;
  if (pool->waits) condition.signal(&pool->ended);
}

static void finish(struct pool *pool, struct job *job, unsigned index) {
  pool->buckets[index].running--;
  mark(pool, index);
  add_done(pool, job);
}

static void *work(void *argument) {
  struct pool *pool = argument;
  pthread_mutex_lock(&pool->lock);
  while (!pool->stopping) {
    unsigned index = 0;
    struct job *job = take_next(pool, &index);
    if (job == NULL) {
      pool->idle++;
      condition.wait(&pool->work, &pool->lock);
      pool->idle--;
      continue;
    }
    pthread_mutex_unlock(&pool->lock);
    run_operations(job->operations, job->count, job->results);
    pthread_mutex_lock(&pool->lock);
    finish(pool, job, index);
    if (!pool->wake_pending) {
      pool->wake_pending = 1;
      pthread_mutex_unlock(&pool->lock);
      pool->wake(pool->wake_argument);
      pthread_mutex_lock(&pool->lock);
    }
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

static int start_thread(struct pool *pool) {
  int refused = thread_start(&pool->threads[pool->started], work, pool);
  if (refused == 0) pool->started++;
  return -refused;
}

void pool_halt(struct pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->stopping = 1;
  condition.broadcast(&pool->work);
  int started = pool->started;
  pthread_mutex_unlock(&pool->lock);
  for (int index = 0; index < started; index++) pthread_join(pool->threads[index], NULL);
  pool->started = 0;
  pool->stopping = 0;
}

void pool_set_threads(struct pool *pool, int threads) {
  pthread_mutex_lock(&pool->lock);
  int shrinks = threads < pool->started;
  pthread_mutex_unlock(&pool->lock);
  /* Fewer: all are joined and started anew by the next submission, or by what waits already. */
  if (shrinks) pool_halt(pool);
  pthread_mutex_lock(&pool->lock);
  pool->wanted = threads;
  for (unsigned index = 0; index < BUCKET_COUNT; index++) mark(pool, index);
  while (pool->nonempty != 0 && pool->started < pool->wanted && start_thread(pool) == 0) continue;
  condition.broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
}

static struct job *new_job(uint32_t count, uint32_t view_count) {
  size_t operations = count * sizeof(struct operation);
  size_t results = count * sizeof(int64_t);
  char *memory =
      malloc(sizeof(struct job) + operations + results + view_count * sizeof(struct iovec));
  if (memory == NULL) return NULL;
  struct job *job = (struct job *)memory;
  job->operations = (struct operation *)(memory + sizeof(struct job));
  job->results = (int64_t *)(memory + sizeof(struct job) + operations);
  job->views = (struct iovec *)(memory + sizeof(struct job) + operations + results);
  job->view_count = view_count;
  return job;
}

struct job *pool_take_job(struct pool *pool, uint32_t count, uint32_t view_count) {
  int small = count == 1 && view_count <= SMALL_VIEWS;
  struct job *job = small ? pool->spare : NULL;
  if (job != NULL) pool->spare = job->next;
  else job = new_job(count, small ? SMALL_VIEWS : view_count);
  if (job == NULL) return NULL;
  job->next = NULL;
  job->count = count;
  job->small = small;
  job->is_outstanding = 1;
  job->was_refused = 0;
  return job;
}

void pool_give_back(struct pool *pool, struct job *job) {
  if (!job->small) {
    free(job);
    return;
  }
  job->next = pool->spare;
  pool->spare = job;
}

static void enqueue(struct pool *pool, struct job *job) {
  int32_t fd = job->operations[0].row.fd;
  unsigned index = bucket_of(pool, fd);
  uint64_t bit = UINT64_C(1) << index;
  struct bucket *bucket = &pool->buckets[index];
  if (!(pool->busy & bit)) {
    bucket->fd = fd;
    pool->busy |= bit;
    if (index != home_of(fd)) pool->displaced |= bit;
  }
  job->next = NULL;
  if (bucket->tail == NULL) bucket->head = job;
  else bucket->tail->next = job;
  bucket->tail = job;
  pool->nonempty |= bit;
  pool->queued++;
}

static void wake_threads(struct pool *pool, int count) {
  for (int woken = 0; woken < count; woken++) condition.signal(&pool->work);
}

int pool_submit(struct pool *pool, struct job *jobs) {
  int answer = 0;
  int count = 0;
  for (struct job *job = jobs; job != NULL; job = job->next) count++;
  pthread_mutex_lock(&pool->lock);
  /* Of the idle, as many as there are jobs in wait have been called and are about to wake. */
  int lacking = count + pool->queued - pool->idle;
  for (; lacking > 0 && pool->started < pool->wanted; lacking--) {
    answer = start_thread(pool);
    if (answer < 0) break;
  }
  /* One thread is enough to go on; a refusal counts only when there is none at all. */
  if (pool->started > 0) {
    answer = 0;
    for (struct job *job = jobs, *next; job != NULL; job = next) {
      next = job->next;
      enqueue(pool, job);
    }
  }
  int sleepers = pool->idle;
  pthread_mutex_unlock(&pool->lock);
  /* Outside the lock: a thread that wakes to a lock still held sleeps again, which took 25 us. */
  if (answer == 0) wake_threads(pool, count < sleepers ? count : sleepers);
  return answer;
}

struct job *pool_take_done(struct pool *pool) {
  pthread_mutex_lock(&pool->lock);
  struct job *done = pool->done_head;
  pool->done_head = NULL;
  pool->done_tail = NULL;
  pool->wake_pending = 0;
  pthread_mutex_unlock(&pool->lock);
  return done;
}

void pool_wait(struct pool *pool, double timeout_ms) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  if (timeout_ms >= 0) {
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)((timeout_ms - (double)(time_t)(timeout_ms / 1000) * 1000) * 1e6);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
  }
  int refused = 0;
  pthread_mutex_lock(&pool->lock);
  pool->waits = 1;
  while (pool->done_head == NULL && refused == 0) {
    refused = timeout_ms < 0 ? condition.wait(&pool->ended, &pool->lock)
                             : condition_wait_until(&pool->ended, &pool->lock, &until);
  }
  pool->waits = 0;
  pthread_mutex_unlock(&pool->lock);
}

static int has_slot(const struct job *job, int32_t slot) {
  for (uint32_t index = 0; index < job->count; index++) {
    if (job->operations[index].row.slot == slot) return 1;
  }
  return 0;
}

/* Takes the job with this slot out of a bucket; NULL when it is not there. */
static struct job *take_out(struct bucket *bucket, int32_t slot) {
  struct job *before = NULL;
  for (struct job *job = bucket->head; job != NULL; before = job, job = job->next) {
    if (!has_slot(job, slot)) continue;
    if (before == NULL) bucket->head = job->next;
    else before->next = job->next;
    if (bucket->tail == job) bucket->tail = before;
    return job;
  }
  return NULL;
}

void pool_cancel(struct pool *pool, int32_t slot) {
  struct job *job = NULL;
  int wakes = 0;
  pthread_mutex_lock(&pool->lock);
  for (unsigned index = 0; index < BUCKET_COUNT && job == NULL; index++) {
    job = take_out(&pool->buckets[index], slot);
    if (job == NULL) continue;
    pool->queued--;
    mark(pool, index);
    for (uint32_t row = 0; row < job->count; row++) job->results[row] = -ECANCELED;
    add_done(pool, job);
    wakes = !pool->wake_pending;
    pool->wake_pending = 1;
  }
  pthread_mutex_unlock(&pool->lock);
  if (wakes) pool->wake(pool->wake_argument);
}

static void free_all(struct job *job) {
  while (job != NULL) {
    struct job *next = job->next;
    free(job);
    job = next;
  }
}

void pool_stop(struct pool *pool) {
  pool_halt(pool);
  for (unsigned index = 0; index < BUCKET_COUNT; index++) free_all(pool->buckets[index].head);
  free_all(pool->done_head);
  free_all(pool->spare);
  condition.destroy(&pool->work);
  condition.destroy(&pool->ended);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}
