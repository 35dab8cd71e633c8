/*
 * Asks native/layouts.c, bulk.c and words.c on Linux, where the answers are known:
 *
 *   words stat <path>       what layout_stat makes of stat(2), then what statx(2) says
 *   words entries           from stdin: bytes, count, the bytes; to stdout: the result, the bytes
 *   words words             each word of Linux as "name number answer"
 */
#define _GNU_SOURCE
#include "words.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bulk.h"
#include "layouts.h"

static struct moment moment_of(struct timespec time) {
  return (struct moment){.seconds = time.tv_sec, .nanoseconds = (uint32_t)time.tv_nsec};
}

static int tell_stat(const char *path) {
  struct stat found;
  struct statx wanted;
  char out[STATX_BYTES];
  memset(&wanted, 0, sizeof wanted);
  if (lstat(path, &found) < 0) return 1;
  if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_ALL, &wanted) < 0) return 1;
  struct told_stat told = {
      .mode = found.st_mode,
      .links = (uint32_t)found.st_nlink,
      .user = found.st_uid,
      .group = found.st_gid,
      .block_bytes = (uint32_t)found.st_blksize,
      .inode = found.st_ino,
      .size = (uint64_t)found.st_size,
      .blocks = (uint64_t)found.st_blocks,
      .device = found.st_dev,
      .accessed = moment_of(found.st_atim),
      .modified = moment_of(found.st_mtim),
      .changed = moment_of(found.st_ctim),
      .created = {.seconds = wanted.stx_btime.tv_sec, .nanoseconds = wanted.stx_btime.tv_nsec},
      .has_created = (wanted.stx_mask & STATX_BTIME) != 0,
  };
  layout_stat(out, &told);
  fwrite(out, 1, sizeof out, stdout);
  fwrite(&wanted, 1, sizeof wanted, stdout);
  return 0;
}

/* At the end of a page with nothing behind it, so that a step too far ends the program. */
static char *memory_for(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t whole = (bytes + page - 1) / page * page;
  char *memory =
      mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory + whole, page, PROT_NONE) < 0) abort();
  return memory + whole - bytes;
}

static int turn_entries(void) {
  uint32_t head[2];
  while (fread(head, 1, sizeof head, stdin) == sizeof head) {
    char *memory = memory_for(head[0]);
    if (fread(memory, 1, head[0], stdin) != head[0]) return 1;
    int64_t result = bulk_to_entries(memory, head[0], (int)head[1]);
    fwrite(&result, 1, sizeof result, stdout);
    if (result > 0) fwrite(memory, 1, (size_t)result, stdout);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    munmap((void *)((uintptr_t)memory / page * page), (head[0] + page - 1) / page * page + page);
  }
  return 0;
}

static void tell(const char *name, int number, int answer) {
  printf("%s %d %d\n", name, number, answer);
}

static int tell_words(void) {
  static struct iovec views[4] = {{0, 10}, {0, 0}, {0, 5}, {0, 100}};
  for (int whence = -1; whence < 6; whence++) tell("whence", whence, words_whence(whence));
  for (int type = -1; type < 4; type++) {
    tell("lock", type, words_lock_type(type));
    tell("told", type, words_lock_type_told(type));
  }
  for (int bit = 0; bit < 16; bit++) tell("at", 1 << bit, words_at_flags(1 << bit));
  tell("at", 0x300, words_at_flags(0x300));
  for (int flags = 0; flags < 6; flags++) {
    tell("rename", flags, words_rename_flags((unsigned)flags));
  }
  tell("directory", -100, words_directory(-100));
  tell("directory", 7, words_directory(7));
  static const int limits[] = {0, 9, 10, 14, 15, 114, 115, 1000};
  for (size_t index = 0; index < sizeof limits / sizeof limits[0]; index++) {
    tell("within", limits[index], words_views_within(views, 4, (size_t)limits[index]));
  }
  return 0;
}

int main(int count, char **arguments) {
  if (count == 3 && strcmp(arguments[1], "stat") == 0) return tell_stat(arguments[2]);
  if (count == 2 && strcmp(arguments[1], "entries") == 0) return turn_entries();
  if (count == 2 && strcmp(arguments[1], "words") == 0) return tell_words();
  return 2;
}
