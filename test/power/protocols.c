/*
 * Ways to replace a file with fewer commits of the journal, as a workload for power cuts and with a
 * clock. Which of them hold, and where: docs/decisions.
 *
 *   protocols NAME ROUNDS DIRECTORY MARKS     under the rig, beside others who sync what is theirs
 *   protocols NAME COUNT BYTES DIRECTORY time prints p50 and p99 in ms
 *
 * Source: sync_file_range(2), fsync(2), rename(2)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { content_max = 1 << 22, aligned = 4096, meddlers = 3 };

/* What is done to the temporary file, and what after the rename. */
enum { none, file_range, file_fsync, file_fdatasync, file_direct, file_dsync };
enum { then_directory, then_file, then_all };

static const struct protocol {
  const char *name;
  int before, after, allocates;
} protocols[] = {
    {"two-commits", file_fsync, then_directory, 0},
    {"fdatasync", file_fdatasync, then_directory, 0},
    {"dsync", file_dsync, then_directory, 0},
    {"range-directory", file_range, then_directory, 0},
    {"allocated-range-directory", file_range, then_directory, 1},
    {"direct-directory", file_direct, then_directory, 0},
    {"range-file", file_range, then_file, 0},
    {"range-all", file_range, then_all, 0},
    {"only-directory", none, then_directory, 0},
    {"only-file", none, then_file, 0},
    {"only-all", none, then_all, 0},
};

static char *content;
static int marks_fd = -1;

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static void must(int result, const char *what) {
  if (result < 0) fail(what);
}

/* As mixedOf in ledger.ts. */
static size_t content_of(int turn) {
  size_t number = (size_t)turn, length = 4096 + number * 7919 % 60000;
  char word[16], end = ';';
  if (turn % 10 == 3) length = 20 + number % 100, end = ',';
  if (turn % 10 == 6) length = 300000 + number * 7919 % 60000, end = ':';
  size_t step = (size_t)snprintf(word, sizeof word, "%d%c", turn, end);
  for (size_t i = 0; i < length; i++) content[i] = word[i % step];
  return length;
}

static void mark(const char *name, const char *what, int turn) {
  char line[128];
  int length = snprintf(line, sizeof line, "replace %s %s %d", name, what, turn);
  if (marks_fd >= 0 && write(marks_fd, line, (size_t)length) != length) fail("mark");
}

static void write_all(int fd, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t count = write(fd, content + done, length - done);
    must((int)count, "write");
    done += (size_t)count;
  }
}

static void write_direct(int fd, size_t length) {
  size_t whole = (length + aligned - 1) / aligned * aligned;
  write_all(fd, whole);
  if (whole != length) must(ftruncate(fd, (off_t)length), "truncate");
}

static int written(int directory, const char *temporary, const struct protocol *p, size_t length) {
  int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  if (p->before == file_direct) flags |= O_DIRECT;
  if (p->before == file_dsync) flags |= O_DSYNC;
  int fd = openat(directory, temporary, flags, 0600);
  must(fd, "open");
  if (p->allocates) must(fallocate(fd, 0, 0, (off_t)length), "allocate");
  if (p->before == file_direct) write_direct(fd, length);
  else write_all(fd, length);
  unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  if (p->before == file_range) must(sync_file_range(fd, 0, 0, all), "sync_file_range");
  if (p->before == file_fsync) must(fsync(fd), "fsync");
  if (p->before == file_fdatasync) must(fdatasync(fd), "fdatasync");
  must(fchmod(fd, 0644), "chmod");
  return fd;
}

static void replace(const char *path, const char *name, const struct protocol *p, size_t length) {
  static unsigned serial;
  char temporary[64];
  int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  must(directory, "open the directory");
  snprintf(temporary, sizeof temporary, ".temporary.%d.%u", (int)getpid(), serial++);
  int fd = written(directory, temporary, p, length);
  must(renameat(directory, temporary, directory, name), "rename");
  if (p->after == then_directory) must(fsync(directory), "fsync of the directory");
  if (p->after == then_file) must(fsync(fd), "fsync of the file");
  if (p->after == then_all) must(syncfs(directory), "syncfs");
  close(fd);
  close(directory);
}

static void pause_us(long us) {
  struct timespec t = {0, us * 1000};
  nanosleep(&t, NULL);
}

/* Others, whose syncs commit what we have not: of a file, of the directory, of everything. */
static void meddle(const char *path, int which) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  must(chdir(path), "enter");
  srandom((unsigned)(which + getpid()));
  int directory = open(".", O_RDONLY | O_DIRECTORY);
  char name[32];
  snprintf(name, sizeof name, "meddler-%d", which);
  for (;;) {
    pause_us(random() % (which == 0 ? 1500 : 6000));
    int fd = open(name, O_RDWR | O_CREAT | (random() % 2 ? O_TRUNC : 0), 0644);
    if (fd < 0 || pwrite(fd, "x", 1, random() % 9000) != 1) exit(1);
    if (which == 0) fsync(fd);
    if (which == 1) fsync(directory);
    if (which == 2) syncfs(fd);
    close(fd);
    if (random() % 4 == 0) unlink(name);
  }
}

static int work(const struct protocol *p, int rounds, const char *path, const char *marks) {
  char name[32];
  struct protocol safe = protocols[0];
  replace(path, "state", &safe, content_of(0));
  must(marks_fd = open(marks, O_WRONLY | O_CLOEXEC), "open the marks");
  pid_t others[meddlers];
  for (int i = 0; i < meddlers; i++) {
    if ((others[i] = fork()) == 0) meddle(path, i);
  }
  mark("state", "done", 0);
  for (int turn = 1; turn <= rounds; turn++) {
    for (int fresh = 0; fresh < 2; fresh++) {
      snprintf(name, sizeof name, fresh ? "fresh-%d" : "state", turn);
      size_t length = content_of(turn);
      mark(name, "begin", turn);
      replace(path, name, p, length);
      mark(name, "done", turn);
    }
    pause_us(random() % 1000);
  }
  for (int i = 0; i < meddlers; i++) kill(others[i], SIGKILL);
  while (wait(NULL) > 0) continue;
  return 0;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int clocked(const struct protocol *p, int count, size_t length, const char *path) {
  double *ms = malloc(sizeof *ms * (size_t)count);
  if (ms == NULL || count < 1 || length > content_max) return 2;
  memset(content, 'x', length + aligned);
  for (int i = -5; i < count; i++) {
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    replace(path, "state", p, length);
    clock_gettime(CLOCK_MONOTONIC, &to);
    if (i >= 0) ms[i] = (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) / 1e6;
  }
  qsort(ms, (size_t)count, sizeof *ms, by_value);
  printf("%-26s %7zu B  p50 %.3f  p99 %.3f ms\n", p->name, length, ms[count / 2],
         ms[count * 99 / 100]);
  free(ms);
  return 0;
}

int main(int argc, char **argv) {
  if (posix_memalign((void **)&content, aligned, content_max + aligned) != 0) fail("memory");
  for (size_t i = 0; argc > 4 && i < sizeof protocols / sizeof *protocols; i++) {
    const struct protocol *p = &protocols[i];
    if (strcmp(p->name, argv[1]) != 0) continue;
    if (argc == 5) return work(p, atoi(argv[2]), argv[3], argv[4]);
    return clocked(p, atoi(argv[2]), strtoul(argv[3], NULL, 10), argv[4]);
  }
  fprintf(stderr, "usage: protocols NAME ROUNDS DIRECTORY MARKS\n");
  return 2;
}
