/*
 * The descriptors that an environment has opened and not closed. Node closes those that its own fs
 * opened in a worker that is terminated (trackUnmanagedFds); ours nobody would. Maps, which hold
 * a descriptor each, likewise.
 *
 * Invariants: 1. Touched by the environment's thread alone, when it hears of what has ended.
 *             2. Ends are heard of in any order, so it counts: a number that was closed and given
 *                out again stands at 1 whichever of the two is told first.
 *             3. A descriptor that somebody else opened is never counted, so never closed here.
 */
#ifndef HOLDFAST_DESCRIPTORS_H
#define HOLDFAST_DESCRIPTORS_H

#include <stdint.h>

#include "rows.h"

struct descriptors {
  uint16_t *counts;
  uint32_t size;
};

/* Whether a row of this code answers a descriptor that is then the environment's. */
int descriptors_opens(uint8_t code);

/* Takes note of the end of one row; `fd` is what a ROW_CLOSE was given. */
void descriptors_note(struct descriptors *table, uint8_t code, int32_t fd, int64_t result);

/* Takes note of a run that has ended. */
void descriptors_note_run(struct descriptors *table, const struct operation *operations,
                          uint32_t count, const int64_t *results);

/* Closes what is left, and forgets maps. Nothing of the environment may be under way. */
void descriptors_close(struct descriptors *table);

#endif
