/*
 * Commits into a file that was written before, the least there is to do: each record is written and
 * made durable by itself.
 *
 *   journal FILE BYTES SECONDS fdatasync|dsync
 *
 * Prints commits a second: pwrite and fdatasync, or one pwrite of a file opened with O_DSYNC.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { file_bytes = 16 << 20, block_bytes = 1 << 20 };

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int count, char **words) {
  if (count != 5) {
    fprintf(stderr, "journal FILE BYTES SECONDS fdatasync|dsync\n");
    return 2;
  }
  size_t bytes = (size_t)atol(words[2]);
  double seconds = atof(words[3]);
  int is_dsync = strcmp(words[4], "dsync") == 0;
  char *block = calloc(1, block_bytes);
  int fd = open(words[1], O_RDWR | O_CREAT, 0600);
  if (block == NULL || fd < 0) fail("open");
  for (off_t at = 0; at < file_bytes; at += block_bytes) {
    if (pwrite(fd, block, block_bytes, at) != block_bytes) fail("pwrite");
  }
  if (fsync(fd) != 0) fail("fsync");
  int target = is_dsync ? open(words[1], O_RDWR | O_DSYNC) : fd;
  if (target < 0) fail("open");
  long done = 0;
  off_t at = 0;
  double start = now();
  while (now() - start < seconds) {
    if (pwrite(target, block, bytes, at) != (ssize_t)bytes) fail("pwrite");
    if (!is_dsync && fdatasync(fd) != 0) fail("fdatasync");
    at = (at + (off_t)bytes) % (file_bytes - (off_t)bytes);
    done++;
  }
  printf("%.1f\n", (double)done / (now() - start));
  return 0;
}
