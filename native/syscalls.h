/*
 * One system call per function: the result, or -errno. EINTR is retried, except by close(2), whose
 * descriptor is gone all the same (man 2 close). Nothing here decides anything.
 */
#ifndef HOLDFAST_SYSCALLS_H
#define HOLDFAST_SYSCALLS_H

#include <stddef.h>
#include <stdint.h>

#include "views.h"

/* Of the 256 bytes that statx(2) fills; musl before 1.2.4 has no struct for them. */
#define STATX_WANTED 0x7fffU /* all up to birth time, direct I/O alignment, unique mount id */

int64_t sys_read(int fd, void *data, size_t length, double offset);
int64_t sys_readv(int fd, const struct iovec *views, int count, double offset);
int64_t sys_write(int fd, const void *data, size_t length, double offset);
int64_t sys_writev(int fd, const struct iovec *views, int count, double offset);
int64_t sys_append(int fd, const struct iovec *views, int count);
int64_t sys_read_now(int fd, const struct iovec *views, int count, double offset);
int64_t sys_sync(int fd);
int64_t sys_sync_data(int fd);
int64_t sys_open(int directory, const char *path, int flags, int mode);
int64_t sys_open_beneath(int directory, const char *path, int flags, int mode, uint64_t resolve);
int64_t sys_make_directory(int directory, const char *path, int mode);
int64_t sys_make_link(const char *target, int directory, const char *path);
int64_t sys_close(int fd);
int64_t sys_stat(int directory, const char *path, int flags, void *statx_out);
int64_t sys_truncate(int fd, double length);
int64_t sys_rename(int directory, const char *source, int target_directory, const char *target,
                   unsigned flags);
int64_t sys_unlink(int directory, const char *path, int flags);
int64_t sys_link(int directory, const char *source, int target_directory, const char *target,
                 int flags);
int64_t sys_set_mode(int fd, int mode);
int64_t sys_set_owner(int fd, int user, int group);
int64_t sys_set_owner_at(int directory, const char *path, int user, int group);
int64_t sys_seek(int fd, double offset, int whence);
int64_t sys_read_link(int directory, const char *path, void *out, size_t capacity);
int64_t sys_list_attributes(int directory, const char *path, void *out, size_t capacity);
int64_t sys_get_attribute(int directory, const char *path, const char *name, void *out,
                          size_t capacity);
int64_t sys_list_attributes_of(int fd, void *out, size_t capacity);
int64_t sys_get_attribute_of(int fd, const char *name, void *out, size_t capacity);
int64_t sys_set_attribute(int fd, const char *name, const void *value, size_t length);
int64_t sys_set_times(int fd, const int64_t seconds_and_nanoseconds[4]);
int64_t sys_set_times_at(int directory, const char *path,
                         const int64_t seconds_and_nanoseconds[4]);
int64_t sys_set_status_flags(int fd, int flags);
int64_t sys_lock(int fd, int operation);
int64_t sys_set_lock(int fd, int type, double offset, double length);
int64_t sys_get_lock(int fd, int type, double offset, double length, int64_t out[4]);
int64_t sys_volume_type(int fd);
int64_t sys_read_entries(int fd, void *out, size_t capacity);
int64_t sys_allocate(int fd, int mode, double offset, double length);
int64_t sys_advise(int fd, double offset, double length, int advice);
int64_t sys_set_lifetime(int fd, uint64_t hint);
int64_t sys_start_writeback(int fd, double offset, double length, unsigned flags);
int64_t sys_duplicate(int fd);
int64_t sys_clone(int fd, int source);
int64_t sys_copy_range(int fd, int source, double offset, double length);
int64_t sys_get_status_flags(int fd);
#define SYS_MAP_READS 1 /* PROT_READ */
/* Pages of a file in place of those at `target`, which stay where it is refused. */
int64_t sys_map(void *target, size_t length, int protection, int flags, int fd, double offset);
int64_t sys_sync_map(void *start, size_t length);
int64_t sys_advise_map(void *start, size_t length, int advice);
/* For a signal handler: they leave errno alone or are async-signal-safe otherwise. */
int64_t sys_map_zeros(void *start, size_t length, int protection);
int64_t sys_file_size(int fd);
int sys_page_bytes(void);
int sys_view_count_max(void);

#endif
