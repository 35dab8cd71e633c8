/* The journal's part of the border: a commit group is sealed in one crossing. */
#include "border.h"
#include "frames.h"

#define PLACE_COUNT 5U /* start, end, first LSN, end of what is durable, seed */

/* sealFrames(memory, place) */
static napi_value seal_frames(napi_env env, napi_callback_info info) {
  napi_value values[2], answer;
  struct iovec memory, place;
  struct border *border = border_arguments(env, info, 2, values);
  if (border == NULL || !border_bytes(env, values[0], &memory) ||
      !border_numbers(env, values[1], &place) || place.iov_len < PLACE_COUNT) {
    return border_fail(env, "sealFrames(memory, place)");
  }
  const double *numbers = place.iov_base;
  double start = numbers[0];
  double end = numbers[1];
  if (!(start >= 0) || !(end >= start) || !(end <= (double)memory.iov_len)) {
    return border_fail(env, "sealFrames: a place in the memory");
  }
  struct unsealed frames = {
      .bytes = (uint8_t *)memory.iov_base + (size_t)start,
      .length = (size_t)(end - start),
      .first_lsn = (uint64_t)numbers[2],
      .synced_end_lsn = (uint64_t)numbers[3],
      .seed = (uint32_t)numbers[4],
  };
  napi_get_boolean(env, frames_seal(&frames) == 1, &answer);
  return answer;
}

void border_frames_exports(struct border *border, napi_value exports) {
  border_export(border, exports, "sealFrames", seal_frames);
}
