/*
 * Mounts images and unmounts them, by the line; mount(8) and umount(8) would take longer to start
 * than to do it. What is still mounted when stdin ends is unmounted: nothing outlives a test that
 * was killed.
 *
 *   mount TAB type TAB image TAB directory TAB options
 *   unmount TAB directory
 *
 * Answers each line with "ok" or "<what>: <why>".
 *
 * Source: loop(4), LOOP_CONFIGURE; mount(2)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

enum { mounts_max = 8, path_max = 512, tries_max = 200, pause_us = 5000 };

static char mounted[mounts_max][path_max];

static void refused(const char *what) {
  printf("%s: %s\n", what, strerror(errno));
}

/* The device detaches by itself when it is closed for the last time. */
static int attach(const char *image, char *device, size_t size) {
  int image_fd = open(image, O_RDWR | O_CLOEXEC);
  int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  int fd = -1;
  for (int tries = 0; image_fd >= 0 && control >= 0 && tries < tries_max; tries++) {
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) break;
    snprintf(device, size, "/dev/loop%d", number);
    fd = open(device, O_RDWR | O_CLOEXEC);
    if (fd < 0) break;
    struct loop_config config = {.fd = (unsigned)image_fd};
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) break;
    int why = errno;
    close(fd);
    fd = -1;
    errno = why;
    /* Somebody else was faster. */
    if (errno != EBUSY && errno != ENXIO) break;
  }
  int why = errno;
  if (control >= 0) close(control);
  if (image_fd >= 0) close(image_fd);
  errno = why;
  return fd;
}

static void do_mount(const char *type, const char *image, const char *at, const char *options) {
  int slot = 0;
  while (slot < mounts_max && mounted[slot][0] != 0) slot++;
  if (slot == mounts_max || strlen(at) >= path_max) {
    errno = ENAMETOOLONG;
    refused("remember the mount");
    return;
  }
  char device[32];
  int fd = attach(image, device, sizeof device);
  if (fd < 0) {
    refused("attach a loop device");
    return;
  }
  if (mount(device, at, type, 0, options) != 0) {
    refused("mount");
  } else {
    strcpy(mounted[slot], at);
    puts("ok");
  }
  close(fd);
}

static void forget(const char *at) {
  for (int slot = 0; slot < mounts_max; slot++) {
    if (strcmp(mounted[slot], at) == 0) mounted[slot][0] = 0;
  }
}

static void do_unmount(const char *at) {
  int result = -1;
  for (int tries = 0; tries < tries_max; tries++) {
    result = umount2(at, 0);
    if (result == 0 || errno != EBUSY) break;
    usleep(pause_us);
  }
  if (result != 0) {
    refused("unmount");
    return;
  }
  forget(at);
  puts("ok");
}

static void unmount_all(void) {
  for (int slot = mounts_max - 1; slot >= 0; slot--) {
    if (mounted[slot][0] != 0) umount2(mounted[slot], MNT_DETACH);
  }
}

int main(void) {
  static char line[4 * path_max];
  /* Whoever asked may be killed before the answer: stdin tells of that, and what is to be done. */
  signal(SIGPIPE, SIG_IGN);
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = 0;
    char *rest = line;
    const char *word = strsep(&rest, "\t"), *type, *image, *at;
    if (strcmp(word, "mount") == 0) {
      type = strsep(&rest, "\t");
      image = strsep(&rest, "\t");
      at = strsep(&rest, "\t");
      do_mount(type, image, at, rest);
    } else {
      do_unmount(rest);
    }
    fflush(stdout);
  }
  unmount_all();
  return 0;
}
