/*
 * What a file system in user space needs of the kernel, spoken in the kernel's own words, so that
 * no library is needed. Included once by each program that is one; it has `serve` and `hear`.
 *
 * Source: linux/fuse.h, fuse(4); Documentation/filesystems/fuse/
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

enum { write_max = 1 << 20, after_end_ms = 2000 };

static int fuse_fd;

/* Answers one request. */
static void serve(const struct fuse_in_header *in);

/* Reads what stands on stdin; answers 0 at its end. */
static int hear(void);

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static void answer(const struct fuse_in_header *in, int error, const void *body, size_t length) {
  struct fuse_out_header out = {(uint32_t)(sizeof out + length), error, in->unique};
  struct iovec parts[2] = {{&out, sizeof out}, {(void *)body, length}};
  /* ENOENT: whoever asked was interrupted and no longer waits. */
  if (writev(fuse_fd, parts, 2) < 0 && errno != ENOENT && errno != ENODEV) fail("answer");
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

static void mount_fuse(const char *name, const char *directory) {
  fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fuse_fd < 0) fail("open");
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse_fd);
  if (mount(name, directory, "fuse", MS_NOSUID | MS_NODEV, options) != 0) fail("mount");
}

/* Answers the length of a request, 0 if there is none yet, -1 at the end. */
static ssize_t next_request(char *bytes, size_t size) {
  static struct pollfd asked[2] = {{-1, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  asked[0].fd = fuse_fd;
  int wait_ms = asked[1].fd < 0 ? after_end_ms : -1;
  int ready = poll(asked, 2, wait_ms);
  if (ready < 0 && errno != EINTR) fail("poll");
  if (ready == 0) return -1;
  if (asked[1].revents != 0 && !hear()) asked[1].fd = -1;
  if (asked[0].revents == 0) return 0;
  ssize_t length = read(fuse_fd, bytes, size);
  if (length < 0 && errno == ENODEV) return -1;
  if (length < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT) fail("read");
  return length < 0 ? 0 : length;
}

/*
 * Prints "ready" and serves until unmounted; unmounts itself when stdin has ended and nobody has
 * asked for anything for a few seconds.
 */
static void serve_all(const char *directory) {
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
  umount2(directory, MNT_DETACH);
}
