/*
 * Replaces a file durably again and again, by the least there is to do, and times each time:
 * the directory opened, an exclusive temporary file, write, fsync, rename, fsync of the directory.
 *
 *   replace DIRECTORY BYTES COUNT [--samples] [--one-commit]
 *
 * Prints p50 and p99 in ms; with --samples each time in ns, one a line. With --one-commit the bytes
 * are forced out by sync_file_range(2) instead of fsync, so that the journal is waited for once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { warm_up_count = 5 };

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void write_all(int fd, const char *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t count = write(fd, bytes + done, length - done);
    if (count < 0) fail("write");
    done += (size_t)count;
  }
}

/* Answers whether it was forced to the device. */
static int forced_out(int fd, int one_commit) {
  unsigned whole = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  return one_commit ? sync_file_range(fd, 0, 0, whole) == 0 : fsync(fd) == 0;
}

static void replace(const char *path, const char *bytes, size_t length, int one_commit) {
  static unsigned serial;
  char temporary[32];
  int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) fail("open directory");
  snprintf(temporary, sizeof temporary, ".target.%d.%u", (int)getpid(), serial++);
  int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) fail("open");
  write_all(fd, bytes, length);
  if (!forced_out(fd, one_commit)) fail("fsync");
  if (close(fd) != 0) fail("close");
  if (renameat(directory, temporary, directory, "target") != 0) fail("rename");
  if (fsync(directory) != 0) fail("fsync directory");
  close(directory);
}

static int by_value(const void *a, const void *b) {
  long long x = *(const long long *)a, y = *(const long long *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: replace DIRECTORY BYTES COUNT [--samples] [--one-commit]\n");
    return 2;
  }
  size_t length = strtoul(argv[2], NULL, 10);
  int count = atoi(argv[3]);
  int samples_wanted = 0, one_commit = 0;
  for (int i = 4; i < argc; i++) {
    samples_wanted |= strcmp(argv[i], "--samples") == 0;
    one_commit |= strcmp(argv[i], "--one-commit") == 0;
  }
  if (count < 1) return 2;
  char *bytes = malloc(length + 1);
  long long *samples = malloc(sizeof *samples * (size_t)count);
  if (bytes == NULL || samples == NULL) fail("malloc");
  memset(bytes, 'x', length);

  for (int i = 0; i < warm_up_count; i++) replace(argv[1], bytes, length, one_commit);
  for (int i = 0; i < count; i++) {
    long long begin = now_ns();
    replace(argv[1], bytes, length, one_commit);
    samples[i] = now_ns() - begin;
  }
  if (samples_wanted) {
    for (int i = 0; i < count; i++) printf("%lld\n", samples[i]);
    return 0;
  }
  qsort(samples, (size_t)count, sizeof *samples, by_value);
  printf("p50 %.3f ms, p99 %.3f ms\n", samples[count / 2] / 1e6, samples[count * 99 / 100] / 1e6);
  return 0;
}
