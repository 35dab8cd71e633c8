/*
 * What Linux alone has, answered for the others: there is no ring and there are no maps. Neither
 * is exported, so TypeScript never asks; the rows of maps answer that the system lacks the call.
 */
#include <errno.h>

#include "border.h"
#include "maps.h"

void border_ring_exports(struct border *border, napi_value exports) {
  (void)border;
  (void)exports;
}

int border_ring_register_view(struct border *border, uint32_t index, const struct iovec *view) {
  (void)border;
  (void)index;
  (void)view;
  return 0;
}

void border_map_exports(struct border *border, napi_value exports) {
  (void)border;
  (void)exports;
}

int64_t maps_open(const struct iovec *memory, int fd, int flags, int protection, double offset) {
  (void)memory;
  (void)fd;
  (void)flags;
  (void)protection;
  (void)offset;
  return -ENOSYS;
}

int64_t maps_leave(int32_t handle) {
  (void)handle;
  return -ENOSYS;
}

int64_t maps_sync(int32_t handle, double offset, double length) {
  (void)handle;
  (void)offset;
  (void)length;
  return -ENOSYS;
}

int64_t maps_advise(int32_t handle, double offset, double length, int advice) {
  (void)handle;
  (void)offset;
  (void)length;
  (void)advice;
  return -ENOSYS;
}

void maps_adopt(int32_t handle, const void *owner) {
  (void)handle;
  (void)owner;
}

void maps_forget_all(const void *owner) { (void)owner; }
