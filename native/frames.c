/* Numbers in a frame are little-endian: those of every processor the addon is built for. */
#include "frames.h"

#include <string.h>

#include "crc32c.h"

#define HEAD_BYTES 16U
#define LENGTH_MASK 0x0fffffffU
#define MAGIC 0xa7000000U
#define DISTANCE_UNKNOWN 0x00ffffffU

struct head {
  uint32_t length_and_flags;
  uint32_t payload_checksum;
  uint32_t magic_and_distance;
  uint32_t checksum;
};

/* What the checksum of a header is over. */
struct checked {
  uint64_t lsn;
  uint32_t words[3];
};
#define CHECKED_BYTES 20U

int frames_seal(const struct unsealed *frames) {
  uint8_t *at = frames->bytes;
  size_t left = frames->length;
  uint64_t lsn = frames->first_lsn;
  while (left > 0) {
    struct head head;
    struct checked checked;
    if (left < HEAD_BYTES) return 0;
    memcpy(&head, at, HEAD_BYTES);
    size_t payload = head.length_and_flags & LENGTH_MASK;
    size_t whole = HEAD_BYTES + ((payload + 7U) & ~(size_t)7U);
    if (whole > left) return 0;
    uint64_t distance = (lsn - frames->synced_end_lsn) / 8U;
    if (distance > DISTANCE_UNKNOWN) distance = DISTANCE_UNKNOWN;
    head.payload_checksum = crc32c(0, at + HEAD_BYTES, payload);
    head.magic_and_distance = MAGIC | (uint32_t)distance;
    checked.lsn = lsn;
    memcpy(checked.words, &head, sizeof checked.words);
    head.checksum = crc32c(frames->seed, &checked, CHECKED_BYTES);
    memcpy(at, &head, HEAD_BYTES);
    at += whole;
    left -= whole;
    lsn += whole;
  }
  return 1;
}
