/*
 * What stands on the JavaScript side of an environment, and what every part of the border uses.
 *
 * Invariants: 1. One `struct border` per environment; it dies in the environment's cleanup hook,
 *                after every thread has been joined (a terminated worker crashed otherwise), and
 *                closes the descriptors that it has opened and not closed.
 *             2. The views of a job in flight are kept alive by TypeScript's table of payloads,
 *                which the border only reads.
 *             3. The loop stays alive while something is outstanding, and only then.
 * Source: https://nodejs.org/api/n-api.html, NAPI_VERSION 8; no uv_* symbol is linked.
 */
#ifndef HOLDFAST_BORDER_H
#define HOLDFAST_BORDER_H

#define NAPI_VERSION 8
#include <node_api.h>

#include "descriptors.h"
#include "pool.h"
#include "ring.h"

#define KEPT_COUNT 5U

struct ring_border;

struct border {
  napi_env env;
  struct pool *pool;
  napi_threadsafe_function wake;
  napi_ref kept[KEPT_COUNT]; /* memory shared with TypeScript, in order of attachment */
  uint32_t kept_count;
  struct row *rows;
  uint32_t row_count;
  struct row *sync_rows;
  uint32_t sync_row_count;
  struct operation *sync_operations; /* room for as many, between the rows and their results */
  int64_t *sync_results;
  double *pairs; /* slot, result */
  uint32_t pair_count;
  struct job *done;     /* taken from the pool, not yet told for lack of room */
  uint32_t outstanding; /* jobs with the pool */
  uint32_t misses;      /* reads in a row that the page cache did not have */
  struct iovec last_view; /* of perform_view: TypeScript keeps it alive and vouches for it */
  struct iovec fixed_views[RING_TABLE_MAX]; /* registered buffers, with every engine */
  struct ring_border *ring;
  struct descriptors descriptors;
};

napi_value border_fail(napi_env env, const char *message);

/* The border of a call with exactly `count` arguments, else NULL. */
struct border *border_arguments(napi_env env, napi_callback_info info, size_t count,
                                napi_value *values);

/* The bytes of a Uint8Array; 0 when the value is none. */
int border_bytes(napi_env env, napi_value value, struct iovec *view);

/* The numbers of a Float64Array, counted; 0 when the value is none. */
int border_numbers(napi_env env, napi_value value, struct iovec *numbers);

/* Keeps a typed array for as long as the environment lives, and tells where its memory lies. */
int border_share(struct border *border, napi_value value, struct iovec *elements);

/* Rows of the run that begins at `first`. */
uint32_t border_run_length(const struct row *rows, uint32_t first, uint32_t count);

uint32_t border_count_views(const struct row *rows, uint32_t count);

/* Fills operations and their views from rows and the payloads at their slots; 0 when one is not a
 * view. */
int border_fill(const struct border *border, napi_value payloads, const struct row *rows,
                uint32_t count, struct operation *operations, struct iovec *views);

void border_export(struct border *border, napi_value exports, const char *name,
                   napi_callback callback);

/* The pool's part: its beginning (NULL, or what is missing) and its end. */
const char *border_pool_open(struct border *border, napi_value callback, int threads);
void border_pool_close(struct border *border);
void border_pool_exports(struct border *border, napi_value exports);

/* What is asked about maps. */
void border_map_exports(struct border *border, napi_value exports);

/* What seals the frames of a journal. */
void border_frames_exports(struct border *border, napi_value exports);

/* The ring's part: it closes itself. A view that the ring, if there is one, is to know too (NULL:
 * not any more): 0 or its -errno. */
int border_ring_register_view(struct border *border, uint32_t index, const struct iovec *view);
void border_ring_exports(struct border *border, napi_value exports);

#endif
