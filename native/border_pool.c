/* The pool's part of the border: runs of rows to jobs, pairs of slot and result from them. */
#include <errno.h>

#include "border.h"

#define MISSES_TOLERATED 32U /* reads in a row */
#define MISSES_PER_TRY 16U

uint32_t border_run_length(const struct row *rows, uint32_t first, uint32_t count) {
  uint32_t length = 1;
  while (first + length < count && rows[first + length - 1].marks & ROW_LINKED) length++;
  return length;
}

static void settle_outstanding(struct border *border, uint32_t started, uint32_t ended) {
  uint32_t before = border->outstanding;
  border->outstanding = before + started - ended;
  if (before == 0 && border->outstanding > 0) {
    napi_ref_threadsafe_function(border->env, border->wake);
  } else if (before > 0 && border->outstanding == 0) {
    napi_unref_threadsafe_function(border->env, border->wake);
  }
}

/*
 * A read of what the page cache has takes 0.6 us; handing it to a thread and back takes 7 to 40. So
 * it is tried here first, without waiting. Where the cache keeps missing, only now and then. A lock
 * that is not waited for takes 0.5 us, and whoever marks it knows that no server is asked.
 */
static int done_now(struct border *border, struct job *job) {
  if (!(job->operations[0].row.marks & ROW_TRIES_NOW)) return 0;
  int reads = job->operations[0].row.code == ROW_READ;
  if (reads && border->misses >= MISSES_TOLERATED && border->misses++ % MISSES_PER_TRY != 0) {
    return 0;
  }
  int is_done = run_now(job->operations, job->count, job->results);
  if (reads) border->misses = is_done ? 0 : border->misses + 1;
  return is_done;
}

/* Jobs in the order of their rows; those that are done already apart. */
struct batch {
  struct job *jobs;
  struct job **end;
  struct job *done;
  struct job **done_end;
  uint32_t job_count;
};

static void put_last(struct job ***end, struct job *job) {
  job->next = NULL;
  **end = job;
  *end = &job->next;
}

/* Nothing has happened yet when it is refused: every job is there before one is begun. */
static int build_jobs(struct border *border, napi_value payloads, uint32_t count,
                      struct batch *batch) {
  for (uint32_t first = 0; first < count;) {
    uint32_t length = border_run_length(border->rows, first, count);
    const struct row *rows = &border->rows[first];
    struct job *job = pool_take_job(border->pool, length, border_count_views(rows, length));
    if (job == NULL) return -ENOMEM;
    put_last(&batch->end, job);
    batch->job_count++;
    if (!border_fill(border, payloads, rows, length, job->operations, job->views)) {
      return -EFAULT;
    }
    first += length;
  }
  return 0;
}

static void do_some_now(struct border *border, struct batch *batch) {
  struct job *job = batch->jobs;
  batch->end = &batch->jobs;
  *batch->end = NULL;
  while (job != NULL) {
    struct job *next = job->next;
    int is_done = done_now(border, job);
    job->is_outstanding = !is_done;
    batch->job_count -= (uint32_t)is_done;
    put_last(is_done ? &batch->done_end : &batch->end, job);
    job = next;
  }
}

/* There is not one thread to be had: what waits for one is told so. What is done is done. */
static void refuse_jobs(struct batch *batch, int refused) {
  for (struct job *job = batch->jobs; job != NULL; job = job->next) {
    job->is_outstanding = 0;
    job->was_refused = 1;
    for (uint32_t index = 0; index < job->count; index++) {
      job->results[index] = index == 0 ? refused : -ECANCELED;
    }
  }
  *batch->done_end = batch->jobs;
  batch->jobs = NULL;
  batch->job_count = 0;
}

static void drop_jobs(struct border *border, struct job *job) {
  while (job != NULL) {
    struct job *next = job->next;
    pool_give_back(border->pool, job);
    job = next;
  }
}

static void note_end(struct border *border, const struct job *job) {
  descriptors_note_run(&border->descriptors, job->operations, job->count, job->results);
}

/* As many whole jobs as there is room for, from `first` on; the rest waits for the next reap. */
static uint32_t fill_pairs(struct border *border, uint32_t first, uint32_t *ended) {
  uint32_t filled = first;
  while (border->done != NULL && filled + border->done->count <= border->pair_count) {
    struct job *job = border->done;
    if (!job->was_refused) note_end(border, job);
    for (uint32_t index = 0; index < job->count; index++, filled++) {
      border->pairs[2 * filled] = job->operations[index].row.slot;
      border->pairs[2 * filled + 1] = (double)job->results[index];
    }
    border->done = job->next;
    if (ended != NULL) *ended += job->is_outstanding;
    pool_give_back(border->pool, job);
  }
  return filled - first;
}

/* The list of what is done grows at its end. */
static void add_done(struct border *border, struct job *jobs) {
  struct job **end = &border->done;
  while (*end != NULL) end = &(*end)->next;
  *end = jobs;
}

/*
 * submit(count, payloads, first): the number of pairs that stand there from `first` on at once, or
 * -errno when there was no memory for the batch, and nothing of it has happened.
 */
static napi_value submit_rows(napi_env env, napi_callback_info info) {
  napi_value values[3], answer;
  uint32_t count = 0, first = 0, ended = 0;
  struct border *border = border_arguments(env, info, 3, values);
  if (border == NULL) return border_fail(env, "submit(count, payloads, first)");
  napi_get_value_uint32(env, values[0], &count);
  napi_get_value_uint32(env, values[2], &first);
  if (count > border->row_count) return border_fail(env, "submit: more rows than there are");
  struct batch batch = {0};
  batch.end = &batch.jobs;
  batch.done_end = &batch.done;
  int refused = build_jobs(border, values[1], count, &batch);
  if (refused < 0) {
    drop_jobs(border, batch.jobs);
    napi_create_int32(env, refused, &answer);
    return answer;
  }
  do_some_now(border, &batch);
  if (batch.jobs != NULL) refused = pool_submit(border->pool, batch.jobs);
  if (refused < 0) refuse_jobs(&batch, refused);
  add_done(border, batch.done);
  uint32_t filled = fill_pairs(border, first, &ended);
  settle_outstanding(border, batch.job_count, ended);
  napi_create_uint32(env, filled, &answer);
  return answer;
}

/* reap(first): how many pairs stand there from `first` on. */
static napi_value reap_rows(napi_env env, napi_callback_info info) {
  napi_value values[1], answer;
  uint32_t first = 0, ended = 0;
  struct border *border = border_arguments(env, info, 1, values);
  if (border == NULL) return border_fail(env, "reap(first)");
  napi_get_value_uint32(env, values[0], &first);
  add_done(border, pool_take_done(border->pool));
  uint32_t filled = fill_pairs(border, first, &ended);
  settle_outstanding(border, 0, ended);
  napi_create_uint32(env, filled, &answer);
  return answer;
}

/* wait(timeoutMs): until something is done, or the time is over (negative: never). */
static napi_value wait_for_rows(napi_env env, napi_callback_info info) {
  napi_value values[1];
  double timeout_ms = 0;
  struct border *border = border_arguments(env, info, 1, values);
  if (border == NULL) return border_fail(env, "wait(timeoutMs)");
  napi_get_value_double(env, values[0], &timeout_ms);
  if (border->done == NULL) pool_wait(border->pool, timeout_ms);
  return NULL;
}

/* cancel(slot): its run answers -ECANCELED if no thread has begun it. */
static napi_value cancel_row(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t slot = -1;
  struct border *border = border_arguments(env, info, 1, values);
  if (border == NULL) return border_fail(env, "cancel(slot)");
  napi_get_value_int32(env, values[0], &slot);
  pool_cancel(border->pool, slot);
  return NULL;
}

static void on_wake(napi_env env, napi_value callback, void *context, void *data) {
  struct border *border = context;
  napi_value receiver;
  (void)data;
  if (env == NULL || border->pool == NULL) return;
  napi_get_undefined(env, &receiver);
  napi_call_function(env, receiver, callback, 0, NULL, NULL);
}

static void wake_loop(void *argument) {
  struct border *border = argument;
  napi_call_threadsafe_function(border->wake, NULL, napi_tsfn_nonblocking);
}

static napi_value set_threads(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t threads = 0;
  struct border *border = border_arguments(env, info, 1, values);
  if (border == NULL) return border_fail(env, "setThreads(count)");
  napi_get_value_int32(env, values[0], &threads);
  if (threads < 1 || threads > POOL_THREADS_MAX) return border_fail(env, "setThreads: 1 to 64");
  pool_set_threads(border->pool, threads);
  return NULL;
}

/* registerView(index, view | undefined): 0, or the ring's -errno; the pool has it then. */
static napi_value register_view(napi_env env, napi_callback_info info) {
  napi_value values[2], answer;
  struct iovec view = {0};
  uint32_t index = UINT32_MAX;
  struct border *border = border_arguments(env, info, 2, values);
  if (border == NULL) return border_fail(env, "registerView(index, view)");
  napi_get_value_uint32(env, values[0], &index);
  if (index >= RING_TABLE_MAX) return border_fail(env, "registerView: there is no such place");
  int has_view = border_bytes(env, values[1], &view);
  border->fixed_views[index] = view;
  int refused = border_ring_register_view(border, index, has_view ? &view : NULL);
  napi_create_int32(env, refused, &answer);
  return answer;
}

/* --------------------------------------------------------------------- birth and death */

static int start_wake(struct border *border, napi_value callback) {
  napi_value name;
  napi_env env = border->env;
  if (napi_create_string_utf8(env, "holdfast", NAPI_AUTO_LENGTH, &name) != napi_ok) return 0;
  if (napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, NULL, NULL, border, on_wake,
                                      &border->wake) != napi_ok) {
    return 0;
  }
  return napi_unref_threadsafe_function(env, border->wake) == napi_ok;
}

const char *border_pool_open(struct border *border, napi_value callback, int threads) {
  if (!start_wake(border, callback)) return "attach: no threadsafe function";
  border->pool = pool_create(threads, wake_loop, border);
  return border->pool == NULL ? "attach: out of memory" : NULL;
}

void border_pool_close(struct border *border) {
  pool_halt(border->pool);
  add_done(border, pool_take_done(border->pool));
  for (struct job *job = border->done; job != NULL; job = job->next) {
    if (!job->was_refused) note_end(border, job);
  }
  drop_jobs(border, border->done);
  border->done = NULL;
  pool_stop(border->pool);
  border->pool = NULL;
}

void border_pool_exports(struct border *border, napi_value exports) {
  border_export(border, exports, "submit", submit_rows);
  border_export(border, exports, "reap", reap_rows);
  border_export(border, exports, "wait", wait_for_rows);
  border_export(border, exports, "cancel", cancel_row);
  border_export(border, exports, "setThreads", set_threads);
  border_export(border, exports, "registerView", register_view);
}
