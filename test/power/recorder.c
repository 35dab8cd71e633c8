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
#include <linux/falloc.h>
#include <sys/stat.h>

#include "fuse.h"

enum { node_disk = 2, node_mark = 3 };
enum { kind_write = 1, kind_sync = 2, kind_mark = 3, kind_zero = 4 };

static int image_fd, log_fd;
static uint64_t disk_length;

static void note(uint32_t kind, uint64_t offset, uint64_t length, const void *bytes) {
  struct {
    uint32_t kind, zero;
    uint64_t offset, length;
  } head = {kind, 0, offset, length};
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, bytes == NULL ? 0 : length}};
  ssize_t whole = (ssize_t)(parts[0].iov_len + parts[1].iov_len);
  if (writev(log_fd, parts, 2) != whole) fail("write the log");
}

static struct fuse_attr attributes(uint64_t node) {
  struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096};
  attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600;
  if (node == node_disk) attr.size = disk_length;
  return attr;
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
  if (image_fd < 0 || log_fd < 0) fail("open");
  struct stat stat;
  if (fstat(image_fd, &stat) != 0) fail("stat");
  disk_length = (uint64_t)stat.st_size;
  mount_fuse("holdfast-power", directory);
}

static int hear(void) {
  char byte;
  return read(STDIN_FILENO, &byte, 1) > 0;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: recorder DIRECTORY IMAGE LOG\n");
    return 2;
  }
  open_all(argv[1], argv[2], argv[3]);
  serve_all(argv[1]);
  return 0;
}
