/*
 * The macOS side of syscalls.h. Compiled, linked and held against Apple's headers here, but run by
 * nobody of us: docs/native.md. Witness for each: its page in section 2 of the manual of macOS, and
 * bsd/man/man2 and bsd/kern of github.com/apple-oss-distributions/xnu.
 */
#include "syscalls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/attr.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "bulk.h"
#include "layouts.h"
#include "words.h"

_Static_assert(sizeof(off_t) == 8, "an offset has 64 bits");
_Static_assert(LOCK_SH == 1 && LOCK_EX == 2 && LOCK_NB == 4 && LOCK_UN == 8, "as on Linux");
_Static_assert((uint32_t)ATTR_CMN_NAME == BULK_NAME, "sys/attr.h");
_Static_assert((uint32_t)ATTR_CMN_OBJTYPE == BULK_OBJECT_TYPE, "sys/attr.h");
_Static_assert((uint32_t)ATTR_CMN_FILEID == BULK_FILE_ID, "sys/attr.h");
_Static_assert((uint32_t)ATTR_CMN_ERROR == BULK_ERROR, "sys/attr.h");
_Static_assert((uint32_t)ATTR_CMN_RETURNED_ATTRS == BULK_RETURNED, "sys/attr.h");
_Static_assert(sizeof(attribute_set_t) == 20 && sizeof(attrreference_t) == 8, "sys/attr.h");
/* The numbers src/platform/linux.ts makes errors and entries of. */
_Static_assert(DT_DIR == ENTRY_DIRECTORY && DT_LNK == ENTRY_LINK, "as on Linux");

/*
 * Direct I/O is no flag of open(2) here but a mark on the descriptor, F_NOCACHE. In rows it is a
 * bit that open(2) of macOS has no use for; the kernel never sees it.
 */
#define FLAG_DIRECT 0x10000000
_Static_assert((FLAG_DIRECT & (O_CLOEXEC | O_NOFOLLOW_ANY | O_SYMLINK | O_DIRECTORY)) == 0,
               "src/platform/linux.ts has the same bit");

/*
 * A transfer of more than INT_MAX bytes is refused with EINVAL, where Linux moves as many and says
 * so (read(2) of both). As many as Linux moves at most are asked for; the rest is a short transfer.
 */
#define TRANSFER_MAX ((size_t)0x7ffff000)

static size_t at_most(size_t length) { return length < TRANSFER_MAX ? length : TRANSFER_MAX; }

int64_t sys_read(int fd, void *data, size_t length, double offset) {
  if (offset < 0) ANSWER(read(fd, data, at_most(length)));
  ANSWER(pread(fd, data, at_most(length), (off_t)offset));
}

int64_t sys_write(int fd, const void *data, size_t length, double offset) {
  if (offset < 0) ANSWER(write(fd, data, at_most(length)));
  ANSWER(pwrite(fd, data, at_most(length), (off_t)offset));
}

/* preadv(2) and pwritev(2) are of macOS 11. */
int64_t sys_readv(int fd, const struct iovec *views, int count, double offset) {
  int within = words_views_within(views, count, TRANSFER_MAX);
  if (within == 0) return sys_read(fd, views->iov_base, views->iov_len, offset);
  if (offset < 0) ANSWER(readv(fd, views, within));
  ANSWER(preadv(fd, views, within, (off_t)offset));
}

int64_t sys_writev(int fd, const struct iovec *views, int count, double offset) {
  int within = words_views_within(views, count, TRANSFER_MAX);
  if (within == 0) return sys_write(fd, views->iov_base, views->iov_len, offset);
  if (offset < 0) ANSWER(writev(fd, views, within));
  ANSWER(pwritev(fd, views, within, (off_t)offset));
}

/* Nothing appends but a descriptor that does nothing else. */
int64_t sys_append(int fd, const struct iovec *views, int count) {
  (void)fd;
  (void)views;
  (void)count;
  return -ENOSYS;
}

int64_t sys_read_now(int fd, const struct iovec *views, int count, double offset) {
  (void)fd;
  (void)views;
  (void)count;
  (void)offset;
  return -EAGAIN;
}

/* EBADF: of what is no file, such as a pipe (kern_descrip.c), of which fsync(2) says more. */
static int is_absent(int error) {
  return error == ENOTSUP || error == EOPNOTSUPP || error == ENOTTY || error == EINVAL ||
         error == EBADF;
}

/*
 * fsync(2) hands everything to the drive, which may keep it in its cache; F_FULLFSYNC has that
 * written too (fsync(2), fcntl(2)). Where the file system has it not, as on a network, fsync(2) is
 * what there is; what has failed otherwise is not asked for again. libuv falls back likewise.
 */
int64_t sys_sync(int fd) {
  int64_t answer;
  RETRIED(answer, fcntl(fd, F_FULLFSYNC));
  if (answer >= 0) return 0;
  if (!is_absent(errno)) return -errno;
  ANSWER(fsync(fd));
}

/* fdatasync(2) of macOS is in no header, and does no more than its fsync(2). */
int64_t sys_sync_data(int fd) { return sys_sync(fd); }

/* The kernel looks at all 64 bits of the argument (kern_descrip.c): an int would be half of it. */
static int64_t mark_direct(int fd) { ANSWER(fcntl(fd, F_NOCACHE, 1L)); }

int64_t sys_open(int directory, const char *path, int flags, int mode) {
  int64_t fd;
  int asked = (flags & ~FLAG_DIRECT) | O_CLOEXEC;
  RETRIED(fd, openat(words_directory(directory), path, asked, (mode_t)mode));
  if (fd < 0) return -errno;
  int64_t refused = flags & FLAG_DIRECT ? mark_direct((int)fd) : 0;
  if (refused >= 0) return fd;
  sys_close((int)fd);
  return refused;
}

int64_t sys_open_beneath(int directory, const char *path, int flags, int mode, uint64_t resolve) {
  (void)directory;
  (void)path;
  (void)flags;
  (void)mode;
  (void)resolve;
  return -ENOSYS;
}

int64_t sys_make_directory(int directory, const char *path, int mode) {
  ANSWER(mkdirat(words_directory(directory), path, (mode_t)mode));
}

int64_t sys_make_link(const char *target, int directory, const char *path) {
  ANSWER(symlinkat(target, words_directory(directory), path));
}

int64_t sys_close(int fd) { return close(fd) < 0 && errno != EINTR ? -errno : 0; }

static struct moment moment_of(struct timespec time) {
  return (struct moment){.seconds = time.tv_sec, .nanoseconds = (uint32_t)time.tv_nsec};
}

/* dev_t has 32 bits with a sign; libuv tells it widened so, and so does this. */
static void tell_stat(const struct stat *found, void *out) {
  struct told_stat told = {
      .mode = found->st_mode,
      .links = found->st_nlink,
      .user = found->st_uid,
      .group = found->st_gid,
      .block_bytes = (uint32_t)found->st_blksize,
      .inode = found->st_ino,
      .size = (uint64_t)found->st_size,
      .blocks = (uint64_t)found->st_blocks,
      .device = (uint64_t)(int64_t)found->st_dev,
      .accessed = moment_of(found->st_atimespec),
      .modified = moment_of(found->st_mtimespec),
      .changed = moment_of(found->st_ctimespec),
      .created = moment_of(found->st_birthtimespec),
      .has_created = found->st_birthtimespec.tv_sec > 0,
  };
  layout_stat(out, &told);
}

#define EMPTY_PATH 0x1000 /* AT_EMPTY_PATH of Linux: the descriptor itself */

int64_t sys_stat(int directory, const char *path, int flags, void *statx_out) {
  struct stat found;
  int64_t answer;
  int ours = words_at_flags(flags & ~EMPTY_PATH);
  if (ours < 0) return -EINVAL;
  if (flags & EMPTY_PATH && path[0] == '\0') {
    RETRIED(answer, fstat(directory, &found));
  } else {
    RETRIED(answer, fstatat(words_directory(directory), path, &found, ours));
  }
  if (answer < 0) return -errno;
  tell_stat(&found, statx_out);
  return 0;
}

int64_t sys_truncate(int fd, double length) { ANSWER(ftruncate(fd, (off_t)length)); }

/* renameatx_np(2), of macOS 10.12; ENOTSUP where the file system has no such flag. */
int64_t sys_rename(int directory, const char *source, int target_directory, const char *target,
                   unsigned flags) {
  int ours = words_rename_flags(flags);
  int from = words_directory(directory);
  int to = words_directory(target_directory);
  if (ours < 0) return -EINVAL;
  if (ours == 0) ANSWER(renameat(from, source, to, target));
  ANSWER(renameatx_np(from, source, to, target, (unsigned)ours));
}

int64_t sys_unlink(int directory, const char *path, int flags) {
  int ours = words_at_flags(flags);
  if (ours < 0) return -EINVAL;
  ANSWER(unlinkat(words_directory(directory), path, ours));
}

int64_t sys_link(int directory, const char *source, int target_directory, const char *target,
                 int flags) {
  int ours = words_at_flags(flags);
  int from = words_directory(directory);
  if (ours < 0) return -EINVAL;
  ANSWER(linkat(from, source, words_directory(target_directory), target, ours));
}

int64_t sys_set_mode(int fd, int mode) { ANSWER(fchmod(fd, (mode_t)mode)); }

int64_t sys_set_owner(int fd, int user, int group) {
  ANSWER(fchown(fd, (uid_t)user, (gid_t)group));
}

/* Of a symbolic link itself. */
int64_t sys_set_owner_at(int directory, const char *path, int user, int group) {
  int from = words_directory(directory);
  ANSWER(fchownat(from, path, (uid_t)user, (gid_t)group, AT_SYMLINK_NOFOLLOW));
}

int64_t sys_seek(int fd, double offset, int whence) {
  int ours = words_whence(whence);
  if (ours < 0) return -EINVAL;
  ANSWER(lseek(fd, (off_t)offset, ours));
}

int64_t sys_read_link(int directory, const char *path, void *out, size_t capacity) {
  ANSWER(readlinkat(words_directory(directory), path, out, capacity));
}

/* ---------------------------------------------------------------------------------- attributes */

/* As sys/xattr.h and getxattr(2) have them: the cross compiler's headers are without. */
ssize_t flistxattr(int fd, char *names, size_t capacity, int options);
ssize_t fgetxattr(int fd, const char *name, void *value, size_t capacity, uint32_t position,
                  int options);
int fsetxattr(int fd, const char *name, const void *value, size_t length, uint32_t position,
              int options);

/* getxattr(2): an attribute that is not there is ENOATTR, a number of its own. */
static int64_t told(int64_t answer) {
  if (answer >= 0) return answer;
  return errno == ENOATTR ? -ENODATA : -errno;
}

int64_t sys_list_attributes_of(int fd, void *out, size_t capacity) {
  int64_t answer;
  RETRIED(answer, flistxattr(fd, capacity == 0 ? NULL : out, capacity, 0));
  return told(answer);
}

int64_t sys_get_attribute_of(int fd, const char *name, void *out, size_t capacity) {
  int64_t answer;
  RETRIED(answer, fgetxattr(fd, name, capacity == 0 ? NULL : out, capacity, 0, 0));
  return told(answer);
}

int64_t sys_set_attribute(int fd, const char *name, const void *value, size_t length) {
  int64_t answer;
  RETRIED(answer, fsetxattr(fd, name, value, length, 0, 0));
  return told(answer);
}

/* There is no getxattrat(2): the name is opened, a link as such, and nobody waits for a FIFO. */
static int64_t open_for_attributes(int directory, const char *path) {
  return sys_open(directory, path, O_RDONLY | O_SYMLINK | O_NONBLOCK, 0);
}

int64_t sys_list_attributes(int directory, const char *path, void *out, size_t capacity) {
  int64_t fd = open_for_attributes(directory, path);
  if (fd < 0) return fd;
  int64_t answer = sys_list_attributes_of((int)fd, out, capacity);
  sys_close((int)fd);
  return answer;
}

int64_t sys_get_attribute(int directory, const char *path, const char *name, void *out,
                          size_t capacity) {
  int64_t fd = open_for_attributes(directory, path);
  if (fd < 0) return fd;
  int64_t answer = sys_get_attribute_of((int)fd, name, out, capacity);
  sys_close((int)fd);
  return answer;
}

/* --------------------------------------------------------------------------------- times, flags */

static void times_of(const int64_t seconds_and_nanoseconds[4], struct timespec times[2]) {
  for (int index = 0; index < 2; index++) {
    times[index].tv_sec = (time_t)seconds_and_nanoseconds[2 * index];
    times[index].tv_nsec = (long)seconds_and_nanoseconds[2 * index + 1];
  }
}

int64_t sys_set_times(int fd, const int64_t seconds_and_nanoseconds[4]) {
  struct timespec times[2];
  times_of(seconds_and_nanoseconds, times);
  ANSWER(futimens(fd, times));
}

/* Of a symbolic link itself. */
int64_t sys_set_times_at(int directory, const char *path,
                         const int64_t seconds_and_nanoseconds[4]) {
  struct timespec times[2];
  times_of(seconds_and_nanoseconds, times);
  ANSWER(utimensat(words_directory(directory), path, times, AT_SYMLINK_NOFOLLOW));
}

int64_t sys_set_status_flags(int fd, int flags) {
  int64_t answer;
  RETRIED(answer, fcntl(fd, F_SETFL, (long)(flags & ~FLAG_DIRECT)));
  if (answer < 0) return -errno;
  if (flags & FLAG_DIRECT) return mark_direct(fd);
  /* Refused where there is nothing to be marked: EBADF, of a pipe. */
  fcntl(fd, F_NOCACHE, 0L);
  return 0;
}

/* Whether a descriptor is marked F_NOCACHE is not told. */
int64_t sys_get_status_flags(int fd) {
  int64_t answer;
  RETRIED(answer, fcntl(fd, F_GETFL));
  return answer < 0 ? -errno : answer & ~(int64_t)FLAG_DIRECT;
}

int64_t sys_duplicate(int fd) { ANSWER(fcntl(fd, F_DUPFD_CLOEXEC, 0L)); }

/* --------------------------------------------------------------------------------------- locks */

int64_t sys_lock(int fd, int operation) { ANSWER(flock(fd, operation)); }

/* Locks of the open file, as on Linux: F_OFD_SETLK never waits (sys/fcntl.h). */
static struct flock range_lock(int type, double offset, double length) {
  return (struct flock){
      .l_type = (short)words_lock_type(type),
      .l_whence = SEEK_SET,
      .l_start = (off_t)offset,
      .l_len = (off_t)length,
  };
}

int64_t sys_set_lock(int fd, int type, double offset, double length) {
  struct flock lock = range_lock(type, offset, length);
  if (words_lock_type(type) < 0) return -EINVAL;
  ANSWER(fcntl(fd, F_OFD_SETLK, &lock));
}

int64_t sys_get_lock(int fd, int type, double offset, double length, int64_t out[4]) {
  struct flock lock = range_lock(type, offset, length);
  int64_t answer;
  if (words_lock_type(type) < 0) return -EINVAL;
  RETRIED(answer, fcntl(fd, F_OFD_GETLK, &lock));
  if (answer < 0) return -errno;
  out[0] = words_lock_type_told(lock.l_type);
  out[1] = lock.l_start;
  out[2] = lock.l_len;
  out[3] = lock.l_pid;
  return 0;
}

/* Linux' numbers of file systems say nothing here. */
int64_t sys_volume_type(int fd) {
  (void)fd;
  return -ENOSYS;
}

/* ---------------------------------------------------------------------------------- directories */

/*
 * getdirentries(2) is not there with 64-bit inodes (dirent.h), and readdir(3) has a buffer of its
 * own. This one goes on from the descriptor's position, as getdents64(2) does, and leaves out `.`
 * and `..`.
 */
int64_t sys_read_entries(int fd, void *out, size_t capacity) {
  struct attrlist wanted = {.bitmapcount = ATTR_BIT_MAP_COUNT, .commonattr = BULK_WANTED};
  int64_t count;
  RETRIED(count, getattrlistbulk(fd, &wanted, out, capacity, 0));
  if (count < 0) return -errno;
  return bulk_to_entries(out, capacity, (int)count);
}

/* --------------------------------------------------------------------------------- space, hints */

#define KEEP_SIZE 1
#define PUNCH_HOLE 2

/* Holes have to be whole blocks; of others the edges are left as they are, so all of it is. */
static int64_t punch(int fd, off_t offset, off_t length) {
  struct fpunchhole hole = {.fp_offset = offset, .fp_length = length};
  int64_t answer;
  RETRIED(answer, fcntl(fd, F_PUNCHHOLE, &hole));
  if (answer >= 0) return 0;
  return errno == EINVAL ? -ENOTSUP : -errno;
}

/*
 * F_PREALLOCATE reserves behind the last block that the file has. Holes before it stay holes: of a
 * file that has some, nothing can be promised.
 */
static int64_t reserve(int fd, off_t end) {
  struct stat found;
  if (fstat(fd, &found) < 0) return -errno;
  off_t taken = (off_t)found.st_blocks * 512;
  off_t within = found.st_size < end ? found.st_size : end;
  if (taken < within) return -ENOTSUP;
  if (taken >= end) return 0;
  fstore_t store = {
      .fst_flags = F_ALLOCATEALL,
      .fst_posmode = F_PEOFPOSMODE,
      .fst_length = end - taken,
  };
  ANSWER(fcntl(fd, F_PREALLOCATE, &store));
}

int64_t sys_allocate(int fd, int mode, double offset, double length) {
  off_t end = (off_t)offset + (off_t)length;
  struct stat found;
  if (mode == (PUNCH_HOLE | KEEP_SIZE)) return punch(fd, (off_t)offset, (off_t)length);
  if (mode != 0 && mode != KEEP_SIZE) return -ENOTSUP;
  int64_t refused = reserve(fd, end);
  if (refused < 0 || mode == KEEP_SIZE) return refused;
  if (fstat(fd, &found) < 0) return -errno;
  return found.st_size >= end ? 0 : sys_truncate(fd, (double)end);
}

enum advice { NORMAL, RANDOM, SEQUENTIAL, WILL_NEED };

/* Reading ahead is of the whole descriptor. ra_count is an int. */
int64_t sys_advise(int fd, double offset, double length, int advice) {
  if (advice == NORMAL || advice == SEQUENTIAL) ANSWER(fcntl(fd, F_RDAHEAD, 1L));
  if (advice == RANDOM) ANSWER(fcntl(fd, F_RDAHEAD, 0L));
  if (advice != WILL_NEED) return -ENOTSUP;
  struct radvisory range = {.ra_offset = (off_t)offset, .ra_count = INT_MAX};
  if (length > 0 && length < INT_MAX) range.ra_count = (int)length;
  ANSWER(fcntl(fd, F_RDADVISE, &range));
}

int64_t sys_set_lifetime(int fd, uint64_t hint) {
  (void)fd;
  (void)hint;
  return -ENOTSUP;
}

int64_t sys_start_writeback(int fd, double offset, double length, unsigned flags) {
  (void)fd;
  (void)offset;
  (void)length;
  (void)flags;
  return -ENOTSUP;
}

/* fclonefileat(2) makes a new name; a file that is open cannot become a clone. */
int64_t sys_clone(int fd, int source) {
  (void)fd;
  (void)source;
  return -ENOTSUP;
}

int64_t sys_copy_range(int fd, int source, double offset, double length) {
  (void)fd;
  (void)source;
  (void)offset;
  (void)length;
  return -ENOSYS;
}

int sys_page_bytes(void) { return (int)sysconf(_SC_PAGESIZE); }

int sys_view_count_max(void) { return IOV_MAX < 1024 ? IOV_MAX : 1024; }
