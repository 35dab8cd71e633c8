/*
 * Sealing the frames of a journal's commit group: checksums and distances into headers whose
 * lengths stand there already. src/frames/encoder.ts does the same, byte for byte.
 *
 * Source: docs/journal-format.md
 */
#ifndef HOLDFAST_FRAMES_H
#define HOLDFAST_FRAMES_H

#include <stddef.h>
#include <stdint.h>

struct unsealed {
  uint8_t *bytes; /* the first frame */
  size_t length;
  uint64_t first_lsn;
  uint64_t synced_end_lsn; /* everything below it is durable */
  uint32_t seed;           /* what the checksum of each header begins with */
};

/* Seals all frames; 0 when the lengths do not add up to the whole. */
int frames_seal(const struct unsealed *frames);

#endif
