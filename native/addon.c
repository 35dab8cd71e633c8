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

napi_value border_fail(napi_env env, const char *message) {
  napi_throw_error(env, "ERR_INTERNAL_ASSERTION", message);
  return NULL;
}

/* Lengths are told in elements: of anything wider they would not be bytes. */
static int elements_of(napi_env env, napi_value value, napi_typedarray_type wanted,
                       struct iovec *elements) {
  napi_typedarray_type type;
  struct iovec found;
  if (napi_get_typedarray_info(env, value, &type, &found.iov_len, &found.iov_base, NULL, NULL) !=
          napi_ok ||
      type != wanted) {
    return 0;
  }
  *elements = found;
  return 1;
}

int border_bytes(napi_env env, napi_value value, struct iovec *view) {
  return elements_of(env, value, napi_uint8_array, view);
}

int border_numbers(napi_env env, napi_value value, struct iovec *numbers) {
  return elements_of(env, value, napi_float64_array, numbers);
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
  /* Not on the stack: guarded against a clash, 80 KiB of it cost 75 ns a call. */
  struct operation *operations = border->sync_operations;
  int64_t *results = border->sync_results;
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
  border_pool_close(border);
  descriptors_close(&border->descriptors);
  /* No system call is under way: the shared memory is the environment's again. */
  for (uint32_t index = 0; index < KEPT_COUNT; index++) {
    if (border->kept[index] != NULL) napi_delete_reference(border->env, border->kept[index]);
    border->kept[index] = NULL;
  }
}

static void free_border(napi_env env, void *data, void *hint) {
  struct border *border = data;
  (void)env;
  (void)hint;
  free(border->sync_operations);
  free(border->sync_results);
  free(border);
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
  border->sync_operations = calloc(border->sync_row_count, sizeof *border->sync_operations);
  border->sync_results = calloc(border->sync_row_count, sizeof *border->sync_results);
  if (border->sync_operations == NULL || border->sync_results == NULL) {
    border->sync_row_count = 0;
    return border_fail(env, "attach: out of memory");
  }
  if (!border_share(border, values[2], &view)) return border_fail(env, "attach: pairs");
  border->pairs = view.iov_base;
  border->pair_count = (uint32_t)(view.iov_len / 2);
  napi_get_value_int32(env, values[4], &threads);
  if (threads < 1 || threads > POOL_THREADS_MAX) return border_fail(env, "attach: 1 to 64 threads");
  const char *missing = border_pool_open(border, values[3], threads);
  if (missing != NULL) return border_fail(env, missing);
  /* Hooks run last in, first out: this one comes before the threadsafe function's own. */
  if (napi_add_env_cleanup_hook(env, close_border, border) == napi_ok) return NULL;
  border_pool_close(border);
  return border_fail(env, "attach: no cleanup hook");
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
  border_export(border, exports, "addressOf", address_of);
  border_export(border, exports, "crc32c", checksum);
  border_frames_exports(border, exports);
  border_pool_exports(border, exports);
  border_map_exports(border, exports);
  border_ring_exports(border, exports);
  export_number(env, exports, "viewCountMax", sys_view_count_max());
  export_number(env, exports, "pageBytes", sys_page_bytes());
  export_number(env, exports, "rowBytes", (int32_t)sizeof(struct row));
  export_number(env, exports, "codeCount", ROW_CODE_COUNT);
  return exports;
}
