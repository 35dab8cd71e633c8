/*
 * The border: Node-API and nothing else. Rows come in by a typed array, results leave by another;
 * no JavaScript object or error is made here except for the library's own mistakes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "border.h"
#include "crc32c.h"
#include "syscalls.h"

#define SYNC_ROWS_MAX 1024U /* 80 KiB of stack, of which a call touches what it uses */
#define MISSES_TOLERATED 32U /* reads in a row */
#define MISSES_PER_TRY 16U

napi_value border_fail(napi_env env, const char *message) {
  napi_throw_error(env, "ERR_INTERNAL_ASSERTION", message);
  return NULL;
}

int border_bytes(napi_env env, napi_value value, struct iovec *view) {
  return napi_get_typedarray_info(env, value, NULL, &view->iov_len, &view->iov_base, NULL, NULL) ==
         napi_ok;
}

static int fixed_view_of(const struct border *border, const struct row *row, struct iovec *view) {
  const struct iovec *fixed = &border->fixed_views[(uint32_t)row->mode % RING_TABLE_MAX];
  if (!(row->start >= 0) || !(row->start + row->length <= (double)fixed->iov_len)) return 0;
  view->iov_base = (char *)fixed->iov_base + (size_t)row->start;
  view->iov_len = (size_t)row->length;
  return 1;
}

/* Fills `views` from one payload: a Uint8Array, or an array of them. */
static int views_of(const struct border *border, napi_value payloads, const struct row *row,
                    struct iovec *views) {
  napi_env env = border->env;
  napi_value payload;
  if (row->view_count == 0) return 1;
  if (row->marks & ROW_FIXED_VIEW) return fixed_view_of(border, row, views);
  if (napi_get_element(env, payloads, (uint32_t)row->slot, &payload) != napi_ok) return 0;
  if (row->view_count == 1) return border_bytes(env, payload, views);
  for (uint32_t index = 0; index < row->view_count; index++) {
    napi_value view;
    if (napi_get_element(env, payload, index, &view) != napi_ok) return 0;
    if (!border_bytes(env, view, &views[index])) return 0;
  }
  return 1;
}

uint32_t border_count_views(const struct row *rows, uint32_t count) {
  uint32_t total = 0;
  for (uint32_t index = 0; index < count; index++) total += rows[index].view_count;
  return total;
}

int border_fill(const struct border *border, napi_value payloads, const struct row *rows,
                uint32_t count, struct operation *operations, struct iovec *views) {
  for (uint32_t index = 0; index < count; index++) {
    operations[index].row = rows[index];
    operations[index].views = views;
    if (!views_of(border, payloads, &rows[index], views)) return 0;
    views += rows[index].view_count;
  }
  return 1;
}

struct border *border_arguments(napi_env env, napi_callback_info info, size_t count,
                                napi_value *values) {
  void *data = NULL;
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, values, NULL, &data) != napi_ok) return NULL;
  return given == count ? data : NULL;
}

/* ---------------------------------------------------------------- rows on the calling thread */

static napi_value perform_rows(napi_env env, napi_callback_info info) {
  napi_value values[2];
  uint32_t count = 0;
  struct border *border = border_arguments(env, info, 2, values);
  if (border == NULL) return border_fail(env, "perform(count, payloads)");
  napi_get_value_uint32(env, values[0], &count);
  if (count > border->sync_row_count) return border_fail(env, "perform: more rows than there are");
  struct iovec few[8];
  struct iovec *views = few;
  struct operation operations[SYNC_ROWS_MAX];
  int64_t results[SYNC_ROWS_MAX];
  uint32_t view_count = border_count_views(border->sync_rows, count);
  if (view_count > 8) views = malloc(view_count * sizeof *views);
  if (views == NULL) return border_fail(env, "perform: out of memory");
  int whole = border_fill(border, values[1], border->sync_rows, count, operations, views);
  if (whole) {
    run_operations(operations, count, results);
    descriptors_note_run(&border->descriptors, operations, count, results);
  }
  if (views != few) free(views);
  if (!whole) return border_fail(env, "perform: a payload is not a Uint8Array");
  for (uint32_t index = 0; index < count; index++) {
    border->sync_rows[index].result = (double)results[index];
  }
  return NULL;
}

static void perform_last(struct border *border) {
  struct operation operation = {.row = border->sync_rows[0], .views = &border->last_view};
  border->sync_rows[0].result = (double)perform_transfer(&operation);
}

/* The first sync row with the one view given: no table, no run, for the shortest way to a read. */
static napi_value perform_view(napi_env env, napi_callback_info info) {
  napi_value values[1];
  struct border *border = border_arguments(env, info, 1, values);
  if (border == NULL || !border_bytes(env, values[0], &border->last_view)) {
    return border_fail(env, "performView(view)");
  }
  perform_last(border);
  return NULL;
}

/*
 * The same with the view of the last call, which TypeScript has seen to be still what it was:
 * looking a view up costs 35 ns of the 600 that a 4 KiB read from the page cache takes.
 */
static napi_value perform_again(napi_env env, napi_callback_info info) {
  void *data = NULL;
  size_t none = 0;
  napi_get_cb_info(env, info, &none, NULL, NULL, &data);
  struct border *border = data;
  if (border->last_view.iov_base == NULL) return border_fail(env, "performAgain: too early");
  perform_last(border);
  return NULL;
}

/* ------------------------------------------------------------------------- rows on the pool */

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

static int build_jobs(struct border *border, napi_value payloads, uint32_t count,
                      struct batch *batch) {
  for (uint32_t first = 0; first < count;) {
    uint32_t length = border_run_length(border->rows, first, count);
    const struct row *rows = &border->rows[first];
    struct job *job = pool_take_job(border->pool, length, border_count_views(rows, length));
    if (job == NULL) return -ENOMEM;
    job->next = NULL;
    *batch->end = job;
    if (!border_fill(border, payloads, rows, length, job->operations, job->views)) {
      return -EFAULT;
    }
    if (done_now(border, job)) {
      *batch->end = NULL;
      job->is_outstanding = 0;
      *batch->done_end = job;
      batch->done_end = &job->next;
    } else {
      batch->end = &job->next;
      batch->job_count++;
    }
    first += length;
  }
  return 0;
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
    note_end(border, job);
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
 * -errno when nothing of the rest was taken; what had been read by then is thrown away with it.
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
  if (refused == 0 && batch.jobs != NULL) refused = pool_submit(border->pool, batch.jobs);
  if (refused < 0) {
    drop_jobs(border, batch.jobs);
    drop_jobs(border, batch.done);
    napi_create_int32(env, refused, &answer);
    return answer;
  }
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

/* ----------------------------------------------------------------------------------- memory */

/* Where a view's memory lies: an address has 47 to 52 bits and a double holds 53 exactly. */
static napi_value address_of(napi_env env, napi_callback_info info) {
  napi_value values[1], answer;
  struct iovec view;
  struct border *border = border_arguments(env, info, 1, values);
  if (border == NULL || !border_bytes(env, values[0], &view)) {
    return border_fail(env, "addressOf(view)");
  }
  napi_create_double(env, (double)(uintptr_t)view.iov_base, &answer);
  return answer;
}

/* crc32c(view, seed) */
static napi_value checksum(napi_env env, napi_callback_info info) {
  napi_value values[2], answer;
  struct iovec view;
  uint32_t seed;
  struct border *border = border_arguments(env, info, 2, values);
  if (border == NULL || !border_bytes(env, values[0], &view) ||
      napi_get_value_uint32(env, values[1], &seed) != napi_ok) {
    return border_fail(env, "crc32c(view, seed)");
  }
  napi_create_uint32(env, crc32c(seed, view.iov_base, view.iov_len), &answer);
  return answer;
}

/* --------------------------------------------------------------------- birth and death */

/* Hooks run last in, first out: the ring has been closed, and has told what it had under way. */
static void close_border(void *argument) {
  struct border *border = argument;
  pool_halt(border->pool);
  add_done(border, pool_take_done(border->pool));
  for (struct job *job = border->done; job != NULL; job = job->next) note_end(border, job);
  drop_jobs(border, border->done);
  border->done = NULL;
  pool_stop(border->pool);
  border->pool = NULL;
  descriptors_close(&border->descriptors);
  /* No system call is under way: the shared memory is the environment's again. */
  for (uint32_t index = 0; index < KEPT_COUNT; index++) {
    if (border->kept[index] != NULL) napi_delete_reference(border->env, border->kept[index]);
    border->kept[index] = NULL;
  }
}

static void free_border(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

int border_share(struct border *border, napi_value value, struct iovec *elements) {
  void *data;
  size_t length;
  napi_value buffer;
  if (napi_get_typedarray_info(border->env, value, NULL, &length, &data, &buffer, NULL) !=
      napi_ok) {
    return 0;
  }
  elements->iov_base = data;
  elements->iov_len = length;
  if (border->kept_count == KEPT_COUNT) return 0;
  napi_ref *kept = &border->kept[border->kept_count++];
  return napi_create_reference(border->env, value, 1, kept) == napi_ok;
}

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

/* attach(rows: Uint8Array, syncRows: Uint8Array, pairs: Float64Array, wake, threads) */
static napi_value attach(napi_env env, napi_callback_info info) {
  napi_value values[5];
  struct iovec view;
  int32_t threads = 0;
  struct border *border = border_arguments(env, info, 5, values);
  if (border == NULL || border->pool != NULL) return border_fail(env, "attach: once, with 5");
  if (!border_share(border, values[0], &view)) return border_fail(env, "attach: rows");
  border->rows = view.iov_base;
  border->row_count = (uint32_t)(view.iov_len / sizeof(struct row));
  if (!border_share(border, values[1], &view)) return border_fail(env, "attach: syncRows");
  border->sync_rows = view.iov_base;
  border->sync_row_count = (uint32_t)(view.iov_len / sizeof(struct row));
  if (border->sync_row_count > SYNC_ROWS_MAX) border->sync_row_count = SYNC_ROWS_MAX;
  if (!border_share(border, values[2], &view)) return border_fail(env, "attach: pairs");
  border->pairs = view.iov_base;
  border->pair_count = (uint32_t)(view.iov_len / 2);
  napi_get_value_int32(env, values[4], &threads);
  if (threads < 1 || threads > POOL_THREADS_MAX) return border_fail(env, "attach: 1 to 64 threads");
  if (!start_wake(border, values[3])) return border_fail(env, "attach: no threadsafe function");
  border->pool = pool_create(threads, wake_loop, border);
  if (border->pool == NULL) return border_fail(env, "attach: out of memory");
  /* Hooks run last in, first out: this one comes before the threadsafe function's own. */
  napi_add_env_cleanup_hook(env, close_border, border);
  return NULL;
}

void border_export(struct border *border, napi_value exports, const char *name,
                   napi_callback callback) {
  napi_value function;
  napi_create_function(border->env, name, NAPI_AUTO_LENGTH, callback, border, &function);
  napi_set_named_property(border->env, exports, name, function);
}

static void export_number(napi_env env, napi_value exports, const char *name, int32_t number) {
  napi_value value;
  napi_create_int32(env, number, &value);
  napi_set_named_property(env, exports, name, value);
}

NAPI_MODULE_INIT() {
  struct border *border = calloc(1, sizeof *border);
  if (border == NULL) return border_fail(env, "out of memory");
  border->env = env;
  if (napi_set_instance_data(env, border, free_border, NULL) != napi_ok) {
    free(border);
    return border_fail(env, "no instance data");
  }
  border_export(border, exports, "attach", attach);
  border_export(border, exports, "perform", perform_rows);
  border_export(border, exports, "performView", perform_view);
  border_export(border, exports, "performAgain", perform_again);
  border_export(border, exports, "submit", submit_rows);
  border_export(border, exports, "reap", reap_rows);
  border_export(border, exports, "wait", wait_for_rows);
  border_export(border, exports, "cancel", cancel_row);
  border_export(border, exports, "setThreads", set_threads);
  border_export(border, exports, "addressOf", address_of);
  border_export(border, exports, "crc32c", checksum);
  border_frames_exports(border, exports);
  border_map_exports(border, exports);
  border_ring_exports(border, exports);
  export_number(env, exports, "viewCountMax", sys_view_count_max());
  export_number(env, exports, "pageBytes", sys_page_bytes());
  export_number(env, exports, "rowBytes", (int32_t)sizeof(struct row));
  export_number(env, exports, "codeCount", ROW_CODE_COUNT);
  return exports;
}
