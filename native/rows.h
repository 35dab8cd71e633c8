/*
 * The submission ABI: one row asks for one system call.
 *
 * TypeScript fills rows in a typed array and crosses the border once per batch; src/engine/rows.ts
 * names the same layout and the same codes, and test/abi.test.ts holds the two against each other.
 *
 * Invariants: 1. A row is 64 bytes and has no pointers: views and paths arrive beside it.
 *             2. A result is >= 0 (done) or -errno (refused); nothing else crosses back.
 *             3. Rows marked ROW_LINKED run before the next one, on one thread, and the run stops
 *                at the first refusal or short transfer: the rest answer -ECANCELED.
 */
#ifndef HOLDFAST_ROWS_H
#define HOLDFAST_ROWS_H

#include <stdint.h>

#include "views.h"

enum row_code {
  ROW_NOP = 0,
  ROW_READ = 1,
  ROW_WRITE = 2,
  ROW_SYNC = 3,
  ROW_SYNC_DATA = 4,
  ROW_OPEN = 5,
  ROW_CLOSE = 6,
  ROW_STAT = 7,
  ROW_TRUNCATE = 8,
  ROW_RENAME = 9,
  ROW_UNLINK = 10,
  ROW_LINK = 11,
  ROW_SET_MODE = 12,
  ROW_SET_OWNER = 13,
  ROW_SEEK = 14,
  ROW_READ_LINK = 15,
  ROW_LIST_ATTRIBUTES = 16,
  ROW_GET_ATTRIBUTE = 17,
  ROW_SET_ATTRIBUTE = 18,
  ROW_SET_TIMES = 19,
  ROW_SET_STATUS_FLAGS = 20,
  ROW_LOCK = 21,
  ROW_READ_ENTRIES = 22,
  ROW_ALLOCATE = 23,
  ROW_ADVISE = 24,
  ROW_SET_LIFETIME = 25,
  ROW_START_WRITEBACK = 26,
  ROW_DUPLICATE = 27,
  ROW_GET_STATUS_FLAGS = 28,
  ROW_MAKE_DIRECTORY = 29,
  ROW_MAKE_LINK = 30,
  ROW_CLONE = 31,
  ROW_COPY_RANGE = 32,
  ROW_OPEN_BENEATH = 33,
  ROW_SET_LOCK = 34,
  ROW_GET_LOCK = 35,
  ROW_VOLUME_TYPE = 36,
  ROW_MAP = 37,
  ROW_UNMAP = 38,
  ROW_SYNC_MAP = 39,
  ROW_ADVISE_MAP = 40,
  ROW_CODE_COUNT
};

/* `flags` of ROW_READ and ROW_WRITE. */
#define TRANSFER_IS_VECTORED 1 /* the vectored call even for one view */
#define TRANSFER_APPENDS 2     /* at the end of the file, wherever that is by then */

/* `marks`. ROW_TRIES_NOW: done by the thread that submits it, a ROW_READ where the page cache has
 * it all, a ROW_SET_LOCK always. */
#define ROW_LINKED 1
#define ROW_TRIES_NOW 2
#define ROW_FIXED_FILE 4 /* `fd2` is the place of `fd` in the table of registered files */
#define ROW_FIXED_VIEW 8 /* `mode` is the place of the view in that of registered buffers */

/* In `fd` and `fd2`: the descriptor that the latest open of this run answered. */
#define FD_OPENED_IN_RUN (-1000)

struct row {
  uint8_t code;
  uint8_t marks;
  uint16_t view_count; /* 0: no payload; 1: the payload is one view; else an array of views */
  int32_t slot;        /* names the row in its completion */
  int32_t fd; /* of ROW_UNMAP, ROW_SYNC_MAP, ROW_ADVISE_MAP: what a ROW_MAP answered */
  int32_t fd2;
  int32_t flags;
  int32_t mode;
  double offset; /* bytes; -1: the descriptor's own position */
  double length; /* bytes a transfer must move for its run to go on; of a range; a new size;
                  * RESOLVE_* of ROW_OPEN_BENEATH */
  double result; /* written when rows are performed on the calling thread */
  double start;      /* bytes; of a registered view: where the transfer begins in it */
  double timeout_ms; /* > 0: the ring ends the row then, as far as it can */
};

/* Masks of codes have 64 bits, and cross the border as doubles, which hold 53 of them. */
_Static_assert(ROW_CODE_COUNT <= 53, "a code is a bit in ring_codes()");
_Static_assert(sizeof(struct row) == 64, "src/engine/rows.ts reckons with 64 bytes a row");

/* A row with the memory it names. `views` are borrowed: TypeScript keeps them alive until the
 * completion is delivered. A path is a view that ends in NUL. */
struct operation {
  struct row row;
  const struct iovec *views;
};

/* Performs one ROW_READ or ROW_WRITE. */
int64_t perform_transfer(const struct operation *operation);

/*
 * Performs a run on the calling thread if it waits for nothing: one ROW_READ of what the page cache
 * has, or one ROW_SET_LOCK. Answers 0 when it does not; nothing has happened then.
 */
int run_now(const struct operation *operations, uint32_t count, int64_t *results);

/* Performs `count` linked operations in order; writes `count` results. */
void run_operations(const struct operation *operations, uint32_t count, int64_t *results);

#endif
