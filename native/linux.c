/* The Linux side of syscalls.h. Witness for each: its page in section 2 of the manual. */
#define _GNU_SOURCE
#include "syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"

_Static_assert(sizeof(long) == 8, "offsets are passed to syscall(2) in one register");

/*
 * pread(3) and pwrite(3) of glibc are cancellation points: in a process with threads that costs
 * 20 ns a call, of 600. Nobody cancels our threads, so the kernel is asked directly.
 */
int64_t sys_read(int fd, void *data, size_t length, double offset) {
  if (offset < 0) ANSWER(read(fd, data, length));
  ANSWER(syscall(SYS_pread64, fd, data, length, (off_t)offset));
}

int64_t sys_readv(int fd, const struct iovec *views, int count, double offset) {
  if (offset < 0) ANSWER(readv(fd, views, count));
  ANSWER(preadv(fd, views, count, (off_t)offset));
}

int64_t sys_write(int fd, const void *data, size_t length, double offset) {
  if (offset < 0) ANSWER(write(fd, data, length));
  ANSWER(syscall(SYS_pwrite64, fd, data, length, (off_t)offset));
}

int64_t sys_writev(int fd, const struct iovec *views, int count, double offset) {
  if (offset < 0) ANSWER(writev(fd, views, count));
  ANSWER(pwritev(fd, views, count, (off_t)offset));
}

/* RWF_APPEND (kernel 4.16) with offset -1 writes at the end and leaves the position after it. */
int64_t sys_append(int fd, const struct iovec *views, int count) {
  ANSWER(syscall(SYS_pwritev2, fd, views, count, -1L, -1L, 0x10));
}

/* RWF_NOWAIT (kernel 4.14): what is in the page cache, or -EAGAIN; it never waits for a device. */
int64_t sys_read_now(int fd, const struct iovec *views, int count, double offset) {
  ANSWER(syscall(SYS_preadv2, fd, views, count, (long)offset, 0L, 0x8));
}

int64_t sys_sync(int fd) { ANSWER(fsync(fd)); }

int64_t sys_sync_data(int fd) { ANSWER(fdatasync(fd)); }

int64_t sys_open(int directory, const char *path, int flags, int mode) {
  ANSWER(openat(directory, path, flags | O_CLOEXEC, (mode_t)mode));
}

/* openat2(2), kernel 5.6; the headers of musl and of old glibc have neither number nor struct. */
int64_t sys_open_beneath(int directory, const char *path, int flags, int mode, uint64_t resolve) {
  uint64_t how[3] = {(uint32_t)(flags | O_CLOEXEC), (uint32_t)mode, resolve};
  ANSWER(syscall(437, directory, path, how, sizeof how));
}

int64_t sys_make_directory(int directory, const char *path, int mode) {
  ANSWER(mkdirat(directory, path, (mode_t)mode));
}

int64_t sys_make_link(const char *target, int directory, const char *path) {
  ANSWER(symlinkat(target, directory, path));
}

int64_t sys_close(int fd) { return close(fd) < 0 && errno != EINTR ? -errno : 0; }

int64_t sys_stat(int directory, const char *path, int flags, void *statx_out) {
  ANSWER(syscall(SYS_statx, directory, path, flags, STATX_WANTED, statx_out));
}

int64_t sys_truncate(int fd, double length) { ANSWER(ftruncate(fd, (off_t)length)); }

int64_t sys_rename(int directory, const char *source, int target_directory, const char *target,
                   unsigned flags) {
  /* renameat2(2) with no flags is renameat(2); old file systems refuse only the flags. */
  ANSWER(syscall(SYS_renameat2, directory, source, target_directory, target, flags));
}

int64_t sys_unlink(int directory, const char *path, int flags) {
  ANSWER(unlinkat(directory, path, flags));
}

int64_t sys_link(int directory, const char *source, int target_directory, const char *target,
                 int flags) {
  ANSWER(linkat(directory, source, target_directory, target, flags));
}

int64_t sys_set_mode(int fd, int mode) { ANSWER(fchmod(fd, (mode_t)mode)); }

int64_t sys_set_owner(int fd, int user, int group) {
  ANSWER(fchown(fd, (uid_t)user, (gid_t)group));
}

/* Of a symbolic link itself. */
int64_t sys_set_owner_at(int directory, const char *path, int user, int group) {
  ANSWER(fchownat(directory, path, (uid_t)user, (gid_t)group, AT_SYMLINK_NOFOLLOW));
}

int64_t sys_seek(int fd, double offset, int whence) {
  ANSWER(lseek(fd, (off_t)offset, whence));
}

int64_t sys_read_link(int directory, const char *path, void *out, size_t capacity) {
  ANSWER(readlinkat(directory, path, out, capacity));
}

/* listxattrat(2) is of kernel 6.13; the descriptor's link in /proc holds the directory as well. */
static int beside(int directory, const char *path, char *out, size_t capacity) {
  int length = directory == AT_FDCWD || path[0] == '/'
                   ? snprintf(out, capacity, "%s", path)
                   : snprintf(out, capacity, "/proc/self/fd/%d/%s", directory, path);
  return length < 0 || (size_t)length >= capacity ? -ENAMETOOLONG : 0;
}

int64_t sys_list_attributes(int directory, const char *path, void *out, size_t capacity) {
  char place[4096];
  int refused = beside(directory, path, place, sizeof place);
  if (refused < 0) return refused;
  ANSWER(llistxattr(place, out, capacity));
}

int64_t sys_get_attribute(int directory, const char *path, const char *name, void *out,
                          size_t capacity) {
  char place[4096];
  int refused = beside(directory, path, place, sizeof place);
  if (refused < 0) return refused;
  ANSWER(lgetxattr(place, name, out, capacity));
}

int64_t sys_list_attributes_of(int fd, void *out, size_t capacity) {
  ANSWER(flistxattr(fd, out, capacity));
}

int64_t sys_get_attribute_of(int fd, const char *name, void *out, size_t capacity) {
  ANSWER(fgetxattr(fd, name, out, capacity));
}

int64_t sys_set_attribute(int fd, const char *name, const void *value, size_t length) {
  ANSWER(fsetxattr(fd, name, value, length, 0));
}

int64_t sys_set_times(int fd, const int64_t seconds_and_nanoseconds[4]) {
  struct timespec times[2] = {
      {.tv_sec = seconds_and_nanoseconds[0], .tv_nsec = (long)seconds_and_nanoseconds[1]},
      {.tv_sec = seconds_and_nanoseconds[2], .tv_nsec = (long)seconds_and_nanoseconds[3]},
  };
  ANSWER(futimens(fd, times));
}

/* Of a symbolic link itself. */
int64_t sys_set_times_at(int directory, const char *path,
                         const int64_t seconds_and_nanoseconds[4]) {
  struct timespec times[2] = {
      {.tv_sec = seconds_and_nanoseconds[0], .tv_nsec = (long)seconds_and_nanoseconds[1]},
      {.tv_sec = seconds_and_nanoseconds[2], .tv_nsec = (long)seconds_and_nanoseconds[3]},
  };
  ANSWER(utimensat(directory, path, times, AT_SYMLINK_NOFOLLOW));
}

int64_t sys_set_status_flags(int fd, int flags) { ANSWER(fcntl(fd, F_SETFL, flags)); }

int64_t sys_lock(int fd, int operation) { ANSWER(flock(fd, operation)); }

/* Open file description locks, kernel 3.15: F_OFD_SETLK never waits; l_pid has to be 0. */
static struct flock range_lock(int type, double offset, double length) {
  return (struct flock){
      .l_type = (short)type,
      .l_whence = SEEK_SET,
      .l_start = (off_t)offset,
      .l_len = (off_t)length,
  };
}

int64_t sys_set_lock(int fd, int type, double offset, double length) {
  struct flock lock = range_lock(type, offset, length);
  ANSWER(fcntl(fd, F_OFD_SETLK, &lock));
}

int64_t sys_get_lock(int fd, int type, double offset, double length, int64_t out[4]) {
  struct flock lock = range_lock(type, offset, length);
  int64_t answer;
  RETRIED(answer, fcntl(fd, F_OFD_GETLK, &lock));
  if (answer < 0) return -errno;
  out[0] = lock.l_type;
  out[1] = lock.l_start;
  out[2] = lock.l_len;
  out[3] = lock.l_pid;
  return 0;
}

int64_t sys_volume_type(int fd) {
  struct statfs volume;
  int64_t answer;
  RETRIED(answer, fstatfs(fd, &volume));
  return answer < 0 ? -errno : (int64_t)(uint32_t)volume.f_type;
}

int64_t sys_read_entries(int fd, void *out, size_t capacity) {
  ANSWER(syscall(SYS_getdents64, fd, out, capacity));
}

int64_t sys_allocate(int fd, int mode, double offset, double length) {
  ANSWER(fallocate(fd, mode, (off_t)offset, (off_t)length));
}

/* posix_fadvise(2) answers the error itself and leaves errno alone. */
int64_t sys_advise(int fd, double offset, double length, int advice) {
  return -posix_fadvise(fd, (off_t)offset, (off_t)length, advice);
}

/* F_SET_RW_HINT of fcntl(2), kernel 4.13. */
int64_t sys_set_lifetime(int fd, uint64_t hint) { ANSWER(fcntl(fd, 1024 + 12, &hint)); }

int64_t sys_start_writeback(int fd, double offset, double length, unsigned flags) {
  ANSWER(sync_file_range(fd, (off_t)offset, (off_t)length, flags));
}

int64_t sys_duplicate(int fd) { ANSWER(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

/* FICLONE of ioctl_ficlone(2), kernel 4.5; spelt here since it stands in the kernel's headers. */
int64_t sys_clone(int fd, int source) { ANSWER(ioctl(fd, _IOW(0x94, 9, int), source)); }

/* Both files at the same offset; kernel 4.5. */
int64_t sys_copy_range(int fd, int source, double offset, double length) {
  int64_t from = (int64_t)offset;
  int64_t to = (int64_t)offset;
  ANSWER(syscall(SYS_copy_file_range, source, &from, fd, &to, (size_t)length, 0U));
}

int64_t sys_get_status_flags(int fd) { ANSWER(fcntl(fd, F_GETFL)); }

/*
 * MAP_FIXED takes away what lies there before the file system has said yes. So they are mapped
 * where nothing is, and moved, which happens at once for every thread.
 */
int64_t sys_map(void *target, size_t length, int protection, int flags, int fd, double offset) {
  void *mapped = mmap(NULL, length, protection, flags, fd, (off_t)offset);
  if (mapped == MAP_FAILED) return -errno;
  if (mremap(mapped, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target) return 0;
  int64_t refused = -errno;
  munmap(mapped, length);
  sys_map_zeros(target, length, PROT_READ | PROT_WRITE);
  return refused;
}

int64_t sys_sync_map(void *start, size_t length) { ANSWER(msync(start, length, MS_SYNC)); }

int64_t sys_advise_map(void *start, size_t length, int advice) {
  ANSWER(madvise(start, length, advice));
}

/*
 * In place of what is mapped there. mmap(3) of musl waits for a lock when it is told MAP_FIXED,
 * which a signal handler must not, so the kernel is asked directly. Zeros take no memory until
 * they are written, and are not to count against it (MAP_NORESERVE).
 */
int64_t sys_map_zeros(void *start, size_t length, int protection) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  long answer = syscall(SYS_mmap, start, length, protection, flags, -1, 0L);
  return answer == -1 ? -errno : 0;
}

/* stx_size stands at byte 40 of struct statx. */
int64_t sys_file_size(int fd) {
  uint64_t told[32];
  int64_t answer = sys_stat(fd, "", AT_EMPTY_PATH, told);
  return answer < 0 ? answer : (int64_t)told[5];
}

int sys_page_bytes(void) {
  static _Atomic int bytes;
  if (bytes == 0) bytes = (int)sysconf(_SC_PAGESIZE);
  return bytes;
}

int sys_view_count_max(void) {
  long max = sysconf(_SC_IOV_MAX);
  return max > 0 && max < 1024 ? (int)max : 1024;
}
