/*
 * A disk that writes down what is done to it: a file system of two files, spoken in the kernel's
 * own words (linux/fuse.h), so that no library is needed.
 *
 *   recorder DIRECTORY IMAGE LOG
 *
 * DIRECTORY/disk is the disk: its bytes are kept in IMAGE, and each write, zeroing and sync goes to
 * LOG in the order in which it arrives, before it is answered. DIRECTORY/mark takes words of the
 * test, which go to the same log. FOPEN_DIRECT_IO: nothing of it stays in the page cache.
 *
 * Prints "ready" when mounted. Ends when unmounted, or unmounts itself when its stdin has ended and
 * nobody has asked for anything for a few seconds.
 *
 * Record of the log: u32 kind, u32 0, u64 offset, u64 length, then the bytes of a write or a mark.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { node_disk = 2, node_mark = 3, write_max = 1 << 20, after_end_ms = 2000 };
enum { kind_write = 1, kind_sync = 2, kind_mark = 3, kind_zero = 4 };

static int fuse_fd, image_fd, log_fd;
static uint64_t disk_length;

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static void note(uint32_t kind, uint64_t offset, uint64_t length, const void *bytes) {
  struct {
    uint32_t kind, zero;
    uint64_t offset, length;
  } head = {kind, 0, offset, length};
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, bytes == NULL ? 0 : length}};
  ssize_t whole = (ssize_t)(parts[0].iov_len + parts[1].iov_len);
  if (writev(log_fd, parts, 2) != whole) fail("write the log");
}

static void answer(const struct fuse_in_header *in, int error, const void *body, size_t length) {
  struct fuse_out_header out = {(uint32_t)(sizeof out + length), error, in->unique};
  struct iovec parts[2] = {{&out, sizeof out}, {(void *)body, length}};
  /* ENOENT: whoever asked was interrupted and no longer waits. */
  if (writev(fuse_fd, parts, 2) < 0 && errno != ENOENT && errno != ENODEV) fail("answer");
}

static struct fuse_attr attributes(uint64_t node) {
  struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096};
  attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600;
  if (node == node_disk) attr.size = disk_length;
  return attr;
}

static void do_init(const struct fuse_in_header *in, const struct fuse_init_in *asked) {
  struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION};
  out.minor = asked->minor < FUSE_KERNEL_MINOR_VERSION ? asked->minor : FUSE_KERNEL_MINOR_VERSION;
  out.flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES;
  out.max_background = 64;
  out.congestion_threshold = 64;
  out.max_write = write_max;
  out.max_pages = write_max / 4096;
  out.time_gran = 1;
  answer(in, 0, &out, sizeof out);
}

static void do_lookup(const struct fuse_in_header *in, const char *name) {
  uint64_t node = strcmp(name, "disk") == 0 ? node_disk : strcmp(name, "mark") == 0 ? node_mark : 0;
  if (node == 0) {
    answer(in, -ENOENT, NULL, 0);
    return;
  }
  struct fuse_entry_out out = {.nodeid = node, .entry_valid = 3600, .attr_valid = 3600};
  out.attr = attributes(node);
  answer(in, 0, &out, sizeof out);
}

static void do_getattr(const struct fuse_in_header *in) {
  struct fuse_attr_out out = {.attr_valid = 3600, .attr = attributes(in->nodeid)};
  answer(in, 0, &out, sizeof out);
}

static void do_read(const struct fuse_in_header *in, const struct fuse_read_in *asked) {
  static char bytes[write_max];
  size_t length = asked->size < sizeof bytes ? asked->size : sizeof bytes;
  ssize_t got = in->nodeid == node_disk ? pread(image_fd, bytes, length, (off_t)asked->offset) : 0;
  answer(in, got < 0 ? -errno : 0, bytes, got < 0 ? 0 : (size_t)got);
}

static void do_write(const struct fuse_in_header *in, const struct fuse_write_in *asked) {
  const void *bytes = asked + 1;
  struct fuse_write_out out = {.size = asked->size};
  if (in->nodeid == node_mark) {
    note(kind_mark, 0, asked->size, bytes);
  } else {
    if (asked->offset + asked->size > disk_length) {
      answer(in, -ENOSPC, NULL, 0);
      return;
    }
    note(kind_write, asked->offset, asked->size, bytes);
    ssize_t put = pwrite(image_fd, bytes, asked->size, (off_t)asked->offset);
    if (put != (ssize_t)asked->size) fail("write the image");
  }
  answer(in, 0, &out, sizeof out);
}

static void do_fallocate(const struct fuse_in_header *in, const struct fuse_fallocate_in *asked) {
  int zeroes = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  if (in->nodeid != node_disk || (asked->mode & zeroes) == 0) {
    answer(in, -EOPNOTSUPP, NULL, 0);
    return;
  }
  note(kind_zero, asked->offset, asked->length, NULL);
  int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (fallocate(image_fd, mode, (off_t)asked->offset, (off_t)asked->length) != 0) {
    fail("zero the image");
  }
  answer(in, 0, NULL, 0);
}

static void serve(const struct fuse_in_header *in) {
  const void *body = in + 1;
  struct fuse_open_out opened = {.open_flags = FOPEN_DIRECT_IO};
  switch (in->opcode) {
    case FUSE_INIT: do_init(in, body); break;
    case FUSE_LOOKUP: do_lookup(in, body); break;
    case FUSE_SETATTR:
    case FUSE_GETATTR: do_getattr(in); break;
    case FUSE_OPEN: answer(in, 0, &opened, sizeof opened); break;
    case FUSE_READ: do_read(in, body); break;
    case FUSE_WRITE: do_write(in, body); break;
    case FUSE_FSYNC:
      if (in->nodeid == node_disk) note(kind_sync, 0, 0, NULL);
      answer(in, 0, NULL, 0);
      break;
    case FUSE_FALLOCATE: do_fallocate(in, body); break;
    case FUSE_RELEASE:
    case FUSE_DESTROY: answer(in, 0, NULL, 0); break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: break;
    default: answer(in, -ENOSYS, NULL, 0);
  }
}

static void open_all(const char *directory, const char *image, const char *log) {
  image_fd = open(image, O_RDWR | O_CLOEXEC);
  log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (image_fd < 0 || log_fd < 0 || fuse_fd < 0) fail("open");
  struct stat stat;
  if (fstat(image_fd, &stat) != 0) fail("stat");
  disk_length = (uint64_t)stat.st_size;
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse_fd);
  if (mount("holdfast-power", directory, "fuse", MS_NOSUID | MS_NODEV, options) != 0) {
    fail("mount");
  }
}

/* Answers the length of a request, 0 if there is none yet, -1 at the end. */
static ssize_t next_request(char *bytes, size_t size) {
  static struct pollfd asked[2] = {{-1, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  asked[0].fd = fuse_fd;
  int wait_ms = asked[1].fd < 0 ? after_end_ms : -1;
  int ready = poll(asked, 2, wait_ms);
  if (ready < 0 && errno != EINTR) fail("poll");
  if (ready == 0) return -1;
  char byte;
  if (asked[1].revents != 0 && read(STDIN_FILENO, &byte, 1) <= 0) asked[1].fd = -1;
  if (asked[0].revents == 0) return 0;
  ssize_t length = read(fuse_fd, bytes, size);
  if (length < 0 && errno == ENODEV) return -1;
  if (length < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT) fail("read");
  return length < 0 ? 0 : length;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: recorder DIRECTORY IMAGE LOG\n");
    return 2;
  }
  open_all(argv[1], argv[2], argv[3]);
  static union {
    struct fuse_in_header in;
    char bytes[write_max + 8192];
  } request;
  puts("ready");
  fflush(stdout);
  for (;;) {
    ssize_t length = next_request(request.bytes, sizeof request.bytes);
    if (length < 0) break;
    if (length > 0) serve(&request.in);
  }
  /* Whoever should have done so was killed. */
  umount2(argv[1], MNT_DETACH);
  return 0;
}
