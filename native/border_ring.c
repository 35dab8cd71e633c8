/* The ring's part of the border: rows to the ring, pairs of slot and result from it. */
#include <errno.h>
#include <stdlib.h>

#include "border.h"
#include "wake.h"

/* Places in `info`, both ways; src/engine/ring.ts has the same. */
enum info {
  INFO_WITHOUT = 0,
  INFO_CODES = 1,    /* in: those to be without; out: those that are taken */
  INFO_CAPACITY = 2, /* rows that may be outstanding */
  INFO_USES_LOOP = 3,
  INFO_STOPPING = 4, /* codes at whose refusal the kernel stops a run */
  INFO_COUNT
};

#define VIEWS_AT_HAND 1024U

struct ring_border {
  struct border *border;
  struct ring *ring;
  struct wake *wake;
  struct row *rows;
  uint32_t row_count;
  double *pairs;
  uint32_t pair_count;
  napi_async_cleanup_hook_handle hook;
  struct operation operations[VIEWS_AT_HAND];
  struct iovec views[VIEWS_AT_HAND];
};

static struct ring_border *ring_arguments(napi_env env, napi_callback_info info, size_t count,
                                          napi_value *values) {
  struct border *border = border_arguments(env, info, count, values);
  return border == NULL ? NULL : border->ring;
}

static napi_value number_of(napi_env env, int32_t number) {
  napi_value value;
  napi_create_int32(env, number, &value);
  return value;
}

static uint32_t index_of(napi_env env, napi_value value) {
  uint32_t index = UINT32_MAX;
  napi_get_value_uint32(env, value, &index);
  return index;
}

/* ---------------------------------------------------------------------------- down and up */

/* Pairs from `first` on. The loop is kept alive while the kernel has something of ours. */
static uint32_t reap(struct ring_border *ring, uint32_t first) {
  uint32_t filled = 0;
  uint32_t room = first < ring->pair_count ? ring->pair_count - first : 0;
  do {
    uint32_t more = ring_reap(ring->ring, ring->pairs + 2 * (first + filled), room - filled);
    filled += more;
    if (more == 0) break;
  } while (filled < room && ring_has_more(ring->ring));
  wake_reference(ring->wake, ring_in_flight(ring->ring) > 0);
  return filled;
}

/* The views of a batch, of more than there is room for too; NULL when memory is out. */
static struct iovec *room_for_views(struct ring_border *ring, uint32_t count) {
  uint32_t view_count = border_count_views(ring->rows, count);
  return view_count <= VIEWS_AT_HAND ? ring->views : malloc(view_count * sizeof *ring->views);
}

static void push_all(struct ring_border *ring, uint32_t count) {
  for (uint32_t first = 0; first < count;) {
    uint32_t length = border_run_length(ring->rows, first, count);
    ring_push(ring->ring, &ring->operations[first], length);
    first += length;
  }
  ring_submit(ring->ring);
}

/* Ends the quiet. What came while it was quiet was told to nobody, so it is looked for again. */
static uint32_t speak(struct ring_border *ring, uint32_t first) {
  ring_set_quiet(ring->ring, 0);
  return ring_has_more(ring->ring) ? reap(ring, first) : 0;
}

/* ringSubmit(count, payloads, first): how many pairs stand there from `first` on, or -errno. */
static napi_value submit_to_ring(napi_env env, napi_callback_info info) {
  napi_value values[3];
  struct ring_border *ring = ring_arguments(env, info, 3, values);
  if (ring == NULL) return border_fail(env, "ringSubmit(count, payloads, first)");
  uint32_t count = index_of(env, values[0]);
  if (count > ring->row_count) return border_fail(env, "ringSubmit: more rows than there are");
  struct iovec *views = room_for_views(ring, count);
  if (views == NULL) return number_of(env, -ENOMEM);
  uint32_t filled = 0;
  int whole = border_fill(ring->border, values[1], ring->rows, count, ring->operations, views);
  if (whole) {
    uint32_t first = index_of(env, values[2]);
    ring_set_quiet(ring->ring, 1);
    push_all(ring, count);
    filled = reap(ring, first);
    filled += speak(ring, first + filled);
  }
  /* What the kernel has taken it has copied the tables of views of (IORING_FEAT_SUBMIT_STABLE). */
  if (views != ring->views) free(views);
  return number_of(env, whole ? (int32_t)filled : -EFAULT);
}

/* ringReap(first): how many pairs stand there from `first` on. */
static napi_value reap_ring(napi_env env, napi_callback_info info) {
  napi_value values[1];
  struct ring_border *ring = ring_arguments(env, info, 1, values);
  if (ring == NULL) return border_fail(env, "ringReap(first)");
  return number_of(env, (int32_t)reap(ring, index_of(env, values[0])));
}

/* ringHeard(first): the same, when the loop was woken for it. */
static napi_value reap_heard(napi_env env, napi_callback_info info) {
  napi_value values[1];
  struct ring_border *ring = ring_arguments(env, info, 1, values);
  if (ring == NULL) return border_fail(env, "ringHeard(first)");
  ring_clear_wake(ring->ring);
  return number_of(env, (int32_t)reap(ring, index_of(env, values[0])));
}

/* ringWait(count, timeoutMs, first): the same, after a wait on the calling thread. */
static napi_value wait_for_ring(napi_env env, napi_callback_info info) {
  napi_value values[3];
  double timeout_ms = 0;
  struct ring_border *ring = ring_arguments(env, info, 3, values);
  if (ring == NULL) return border_fail(env, "ringWait(count, timeoutMs, first)");
  napi_get_value_double(env, values[1], &timeout_ms);
  ring_set_quiet(ring->ring, 1);
  ring_wait(ring->ring, index_of(env, values[0]), timeout_ms);
  uint32_t filled = reap(ring, index_of(env, values[2]));
  return number_of(env, (int32_t)(filled + speak(ring, index_of(env, values[2]) + filled)));
}

/* ringCancel(slot) */
static napi_value cancel_in_ring(napi_env env, napi_callback_info info) {
  napi_value values[1];
  struct ring_border *ring = ring_arguments(env, info, 1, values);
  if (ring == NULL) return border_fail(env, "ringCancel(slot)");
  ring_cancel(ring->ring, (int32_t)index_of(env, values[0]));
  return NULL;
}

/* ------------------------------------------------------------------------------ registration */

int border_ring_register_view(struct border *border, uint32_t index, const struct iovec *view) {
  return border->ring == NULL ? 0 : ring_register_view(border->ring->ring, index, view);
}

/* registerFile(index, fd | -1): 0 or -errno. */
static napi_value register_file(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t fd = -1;
  struct ring_border *ring = ring_arguments(env, info, 2, values);
  if (ring == NULL) return number_of(env, -EOPNOTSUPP);
  uint32_t index = index_of(env, values[0]);
  if (index >= RING_TABLE_MAX) return border_fail(env, "registerFile: there is no such place");
  napi_get_value_int32(env, values[1], &fd);
  return number_of(env, ring_register_file(ring->ring, index, fd));
}

/* ------------------------------------------------------------------------------ birth and death */

static void on_wake_gone(void *argument) {
  struct ring_border *ring = argument;
  if (ring->hook != NULL) napi_remove_async_cleanup_hook(ring->hook);
  free(ring);
}

/*
 * Memory that the kernel may still write belongs to an environment that is about to go. What polls
 * the ring's descriptor has to let go of it first; `argument` may be gone when wake_stop is back.
 */
static void close_ring(void *argument) {
  struct ring_border *border = argument;
  struct ring *ring = border->ring;
  border->border->ring = NULL;
  wake_stop(border->wake, on_wake_gone, border);
  ring_close(ring);
}

static void close_ring_in_time(napi_async_cleanup_hook_handle handle, void *argument) {
  (void)handle;
  close_ring(argument);
}

/*
 * A handle of the loop needs a further turn of it to be closed, hence the asynchronous hook. Deno
 * 2 frees the handle of such a hook twice when it is removed from inside, as a thread's would be.
 */
static int start(struct ring_border *ring, napi_env env, napi_value callback, int uses_loop) {
  ring->wake = wake_start(env, callback, ring_wake_fd(ring->ring), uses_loop);
  if (ring->wake == NULL) return -EAGAIN;
  napi_status added = wake_uses_loop(ring->wake)
                          ? napi_add_async_cleanup_hook(env, close_ring_in_time, ring, &ring->hook)
                          : napi_add_env_cleanup_hook(env, close_ring, ring);
  if (added == napi_ok) return 0;
  wake_stop(ring->wake, NULL, NULL);
  return -ENOMEM;
}

static int share_memory(struct ring_border *ring, napi_value rows, napi_value pairs) {
  struct iovec shared;
  if (!border_share(ring->border, rows, &shared)) return 0;
  ring->rows = shared.iov_base;
  ring->row_count = (uint32_t)(shared.iov_len / sizeof(struct row));
  if (ring->row_count > VIEWS_AT_HAND) ring->row_count = VIEWS_AT_HAND;
  if (!border_share(ring->border, pairs, &shared)) return 0;
  ring->pairs = shared.iov_base;
  ring->pair_count = (uint32_t)(shared.iov_len / 2);
  return 1;
}

static napi_value refuse(napi_env env, struct ring_border *ring, const char *step, int error) {
  napi_value answer, name;
  if (ring != NULL && ring->ring != NULL) ring_close(ring->ring);
  free(ring);
  napi_create_array_with_length(env, 2, &answer);
  napi_create_string_utf8(env, step, NAPI_AUTO_LENGTH, &name);
  napi_set_element(env, answer, 0, name);
  napi_set_element(env, answer, 1, number_of(env, error));
  return answer;
}

/*
 * openRing(info: Float64Array, rows: Uint8Array, pairs: Float64Array, wake: () => void): undefined,
 * or the step that was refused and its -errno.
 */
static napi_value open_ring(napi_env env, napi_callback_info info) {
  napi_value values[4];
  struct ring_refusal refusal;
  struct iovec told;
  struct border *border = border_arguments(env, info, 4, values);
  /* Hooks run last in, first out, and the ring is to be closed before the border is. */
  if (border == NULL || border->pool == NULL || border->ring != NULL ||
      !border_numbers(env, values[0], &told) || told.iov_len < INFO_COUNT) {
    return border_fail(env, "openRing: once, after attach, with 4 arguments");
  }
  double *wanted = told.iov_base;
  struct ring_border *ring = calloc(1, sizeof *ring);
  if (ring == NULL) return refuse(env, NULL, "memory for the ring", -ENOMEM);
  ring->border = border;
  ring->ring = ring_open((uint32_t)wanted[INFO_WITHOUT], (uint64_t)wanted[INFO_CODES],
                         &border->descriptors, &refusal);
  if (ring->ring == NULL) return refuse(env, ring, refusal.step, refusal.error);
  if (!share_memory(ring, values[1], values[2])) {
    ring_close(ring->ring);
    free(ring);
    return border_fail(env, "openRing: memory");
  }
  int refused = start(ring, env, values[3], wanted[INFO_USES_LOOP] != 0);
  if (refused < 0) return refuse(env, ring, "wake the loop", refused);
  border->ring = ring;
  wanted[INFO_WITHOUT] = ring_without(ring->ring);
  wanted[INFO_CODES] = (double)ring_codes(ring->ring);
  wanted[INFO_CAPACITY] = ring_capacity(ring->ring);
  wanted[INFO_STOPPING] = (double)ring_codes_stopping(ring->ring);
  wanted[INFO_USES_LOOP] = wake_uses_loop(ring->wake);
  return NULL;
}

void border_ring_exports(struct border *border, napi_value exports) {
  border_export(border, exports, "openRing", open_ring);
  border_export(border, exports, "ringSubmit", submit_to_ring);
  border_export(border, exports, "ringReap", reap_ring);
  border_export(border, exports, "ringHeard", reap_heard);
  border_export(border, exports, "ringWait", wait_for_ring);
  border_export(border, exports, "ringCancel", cancel_in_ring);
  border_export(border, exports, "registerFile", register_file);
}
