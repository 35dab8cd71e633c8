/* A row becomes a system call; a run of linked rows, one after the other. */
#include "rows.h"

#include <errno.h>
#include <string.h>

#include "maps.h"
#include "syscalls.h"

static const char empty_path[1] = "";

/* A path crosses as a view that ends in NUL; one that does not would be read past its end. */
static const char *path_of(const struct operation *operation, uint32_t index) {
  if (index >= operation->row.view_count) return NULL;
  const struct iovec *view = &operation->views[index];
  const char *text = view->iov_base;
  return view->iov_len > 0 && text[view->iov_len - 1] == '\0' ? text : NULL;
}

static int64_t transfer(const struct operation *operation, int fd) {
  const struct row *row = &operation->row;
  const struct iovec *views = operation->views;
  int count = row->view_count;
  if (count == 0) return 0;
  if (row->flags & TRANSFER_APPENDS) return sys_append(fd, views, count);
  /* A sequence stays one gather, also when its small views were copied into one. */
  if (row->code == ROW_READ) {
    if (count == 1 && !(row->flags & TRANSFER_IS_VECTORED)) {
      return sys_read(fd, views->iov_base, views->iov_len, row->offset);
    }
    return sys_readv(fd, views, count, row->offset);
  }
  if (count == 1 && !(row->flags & TRANSFER_IS_VECTORED)) {
    return sys_write(fd, views->iov_base, views->iov_len, row->offset);
  }
  return sys_writev(fd, views, count, row->offset);
}

static int64_t perform_named(const struct operation *operation, int fd, int fd2) {
  const struct row *row = &operation->row;
  const char *path = path_of(operation, 0);
  const char *other = path_of(operation, 1);
  const struct iovec *last = operation->views + row->view_count - 1;
  if (path == NULL) return -EINVAL;
  switch (row->code) {
    case ROW_OPEN:
      return sys_open(fd, path, row->flags, row->mode);
    case ROW_MAKE_DIRECTORY:
      return sys_make_directory(fd, path, row->mode);
    case ROW_MAKE_LINK:
      return other == NULL ? -EINVAL : sys_make_link(other, fd, path);
    case ROW_SET_OWNER:
      return sys_set_owner_at(fd, path, row->flags, row->mode);
    case ROW_SET_TIMES:
      return last->iov_len < 32 ? -EINVAL : sys_set_times_at(fd, path, last->iov_base);
    case ROW_OPEN_BENEATH:
      return sys_open_beneath(fd, path, row->flags, row->mode, (uint64_t)row->length);
    case ROW_STAT:
      return last->iov_len < 256 ? -EINVAL : sys_stat(fd, path, row->flags, last->iov_base);
    case ROW_RENAME:
      if (other == NULL) return -EINVAL;
      return sys_rename(fd, path, fd2, other, (unsigned)row->flags);
    case ROW_LINK:
      return other == NULL ? -EINVAL : sys_link(fd, path, fd2, other, row->flags);
    case ROW_UNLINK:
      return sys_unlink(fd, path, row->flags);
    case ROW_READ_LINK:
      return sys_read_link(fd, path, last->iov_base, last->iov_len);
    case ROW_LIST_ATTRIBUTES:
      return sys_list_attributes(fd, path, last->iov_base, last->iov_len);
    case ROW_GET_ATTRIBUTE:
      if (row->view_count == 2) {
        return sys_get_attribute_of(fd, path, last->iov_base, last->iov_len);
      }
      if (other == NULL) return -EINVAL;
      return sys_get_attribute(fd, path, other, last->iov_base, last->iov_len);
    case ROW_SET_ATTRIBUTE:
      return sys_set_attribute(fd, path, last->iov_base, last->iov_len);
    default:
      return -ENOSYS;
  }
}

int64_t perform_transfer(const struct operation *operation) {
  return transfer(operation, operation->row.fd);
}

/* What needs descriptors and at most numbers. */
static int64_t perform_on_descriptor(const struct row *row, int fd, int fd2) {
  switch (row->code) {
    case ROW_NOP:
      return 0;
    case ROW_SYNC:
      return sys_sync(fd);
    case ROW_SYNC_DATA:
      return sys_sync_data(fd);
    case ROW_CLOSE:
      return sys_close(fd);
    case ROW_TRUNCATE:
      return sys_truncate(fd, row->length);
    case ROW_SET_MODE:
      return sys_set_mode(fd, row->mode);
    case ROW_SET_OWNER:
      return sys_set_owner(fd, row->flags, row->mode);
    case ROW_SEEK:
      return sys_seek(fd, row->offset, row->flags);
    case ROW_SET_STATUS_FLAGS:
      return sys_set_status_flags(fd, row->flags);
    case ROW_GET_STATUS_FLAGS:
      return sys_get_status_flags(fd);
    case ROW_DUPLICATE:
      return sys_duplicate(fd);
    case ROW_LOCK:
      return sys_lock(fd, row->flags);
    case ROW_SET_LOCK:
      return sys_set_lock(fd, row->flags, row->offset, row->length);
    case ROW_VOLUME_TYPE:
      return sys_volume_type(fd);
    case ROW_ALLOCATE:
      return sys_allocate(fd, row->flags, row->offset, row->length);
    case ROW_ADVISE:
      return sys_advise(fd, row->offset, row->length, row->flags);
    case ROW_SET_LIFETIME:
      return sys_set_lifetime(fd, (uint64_t)row->flags);
    case ROW_START_WRITEBACK:
      return sys_start_writeback(fd, row->offset, row->length, (unsigned)row->flags);
    case ROW_CLONE:
      return sys_clone(fd, fd2);
    case ROW_COPY_RANGE:
      return sys_copy_range(fd, fd2, row->offset, row->length);
    case ROW_UNMAP:
      return maps_leave(fd);
    case ROW_SYNC_MAP:
      return maps_sync(fd, row->offset, row->length);
    case ROW_ADVISE_MAP:
      return maps_advise(fd, row->offset, row->length, row->flags);
    default:
      return -ENOSYS;
  }
}

/* What fills or reads one view by descriptor. */
static int64_t perform_with_view(const struct operation *operation, int fd) {
  const struct row *row = &operation->row;
  const struct iovec *view = operation->views;
  switch (row->code) {
    case ROW_MAP:
      return maps_open(view, fd, row->flags, row->mode, row->offset);
    case ROW_SET_TIMES:
      return view->iov_len < 32 ? -EINVAL : sys_set_times(fd, view->iov_base);
    case ROW_READ_ENTRIES:
      return sys_read_entries(fd, view->iov_base, view->iov_len);
    case ROW_LIST_ATTRIBUTES:
      return sys_list_attributes_of(fd, view->iov_base, view->iov_len);
    case ROW_GET_LOCK:
      if (view->iov_len < 32) return -EINVAL;
      return sys_get_lock(fd, row->flags, row->offset, row->length, view->iov_base);
    case ROW_STAT:
      /* AT_EMPTY_PATH: the descriptor itself. */
      if (view->iov_len < 256) return -EINVAL;
      return sys_stat(fd, empty_path, row->flags | 0x1000, view->iov_base);
    default:
      return perform_named(operation, fd, row->fd2);
  }
}

static int64_t perform(const struct operation *operation, int opened) {
  const struct row *row = &operation->row;
  int fd = row->fd == FD_OPENED_IN_RUN ? opened : row->fd;
  int fd2 = row->fd2 == FD_OPENED_IN_RUN ? opened : row->fd2;
  if (row->code == ROW_READ || row->code == ROW_WRITE) return transfer(operation, fd);
  if (row->view_count == 0) return perform_on_descriptor(row, fd, fd2);
  if (row->view_count == 1) return perform_with_view(operation, fd);
  return perform_named(operation, fd, fd2);
}

static int goes_on(const struct row *row, int64_t result) {
  if (result < 0) return 0;
  if (row->code != ROW_READ && row->code != ROW_WRITE) return 1;
  return (double)result == row->length;
}

static int opens(uint8_t code) { return code == ROW_OPEN || code == ROW_OPEN_BENEATH; }

void run_operations(const struct operation *operations, uint32_t count, int64_t *results) {
  int opened = -EBADF;
  int stopped = 0;
  for (uint32_t index = 0; index < count; index++) {
    const struct operation *operation = &operations[index];
    if (stopped) {
      results[index] = -ECANCELED;
      continue;
    }
    results[index] = perform(operation, opened);
    if (opens(operation->row.code) && results[index] >= 0) opened = (int)results[index];
    stopped = !goes_on(&operation->row, results[index]);
  }
}

int run_now(const struct operation *operations, uint32_t count, int64_t *results) {
  const struct row *row = &operations[0].row;
  if (count == 1 && row->code == ROW_SET_LOCK) {
    *results = perform_on_descriptor(row, row->fd, row->fd2);
    return 1;
  }
  if (count != 1 || row->code != ROW_READ || row->offset < 0 || row->view_count == 0) return 0;
  *results = sys_read_now(row->fd, operations[0].views, row->view_count, row->offset);
  return *results >= 0;
}
