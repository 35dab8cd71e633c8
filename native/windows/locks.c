/*
 * Locks of byte ranges, as fcntl(2) has those of an open file, over LockFileEx.
 *
 * LockFileEx keeps everybody else from reading and writing what is locked: so the bytes that are
 * locked are others, 2^61 behind those that are meant, where no file has any. Whoever locks through
 * this library meets there; whoever calls LockFileEx on the bytes themselves does not.
 *
 * Windows counts locks, and takes each back by the range it was taken with: hence the table. An
 * exclusive lock becomes shared without a gap, a shared one exclusive only by being given up:
 * that is refused.
 * Source: LockFileEx, UnlockFileEx (learn.microsoft.com)
 */
#include "nt.h"

#include <stdlib.h>

#include "../syscalls.h"

#define MOVED (UINT64_C(1) << 61)
#define MARKS (UINT64_C(1) << 62)                 /* src/lock.ts has marks from there on */
#define END (MARKS + (UINT64_C(1) << 60))         /* all there will ever be */
#define WHOLE_FILE (MARKS + (UINT64_C(1) << 61))  /* the byte that stands for flock(2) */

enum { SHARED = 0, EXCLUSIVE = 1, NONE = 2 }; /* F_RDLCK, F_WRLCK, F_UNLCK */

struct range {
  uint64_t start, end;
};

struct held {
  struct range range;
  int fd;
  int is_exclusive;
};

static SRWLOCK table_lock = SRWLOCK_INIT;
static struct held *table;
static size_t count, room;

static uint64_t moved(uint64_t at) {
  if (at < MOVED) return MOVED + at;
  return at < MARKS ? MARKS : at;
}

static struct range range_of(double offset, double length) {
  uint64_t start = (uint64_t)offset;
  struct range range = {moved(start), END};
  if (length > 0) range.end = moved(start + (uint64_t)length);
  return range;
}

static OVERLAPPED place_of(struct range range) {
  OVERLAPPED place = {0};
  place.Offset = (DWORD)range.start;
  place.OffsetHigh = (DWORD)(range.start >> 32);
  return place;
}

static int64_t take(int fd, struct range range, int is_exclusive) {
  OVERLAPPED place = place_of(range);
  uint64_t length = range.end - range.start;
  DWORD flags = LOCKFILE_FAIL_IMMEDIATELY | (is_exclusive ? LOCKFILE_EXCLUSIVE_LOCK : 0);
  if (LockFileEx(nt_handle(fd), flags, 0, (DWORD)length, (DWORD)(length >> 32), &place)) return 0;
  return GetLastError() == ERROR_IO_PENDING ? -EAGAIN : nt_last_refusal();
}

static int64_t give(int fd, struct range range) {
  OVERLAPPED place = place_of(range);
  uint64_t length = range.end - range.start;
  if (UnlockFileEx(nt_handle(fd), 0, (DWORD)length, (DWORD)(length >> 32), &place)) return 0;
  return nt_last_refusal();
}

/* Room first, so that what was taken is always written down. */
static int has_room(size_t more) {
  if (count + more <= room) return 1;
  size_t size = room == 0 ? 64 : 2 * room;
  struct held *larger = realloc(table, size * sizeof *larger);
  if (larger == NULL) return 0;
  table = larger;
  room = size;
  return 1;
}

static int64_t take_down(int fd, struct range range, int is_exclusive) {
  if (!has_room(1)) return -ENOMEM;
  int64_t refused = take(fd, range, is_exclusive);
  if (refused == 0) table[count++] = (struct held){range, fd, is_exclusive};
  return refused;
}

static int is_of(const struct held *held, int fd, struct range range) {
  return held->fd == fd && held->range.start < range.end && range.start < held->range.end;
}

static struct held *find(int fd, struct range range) {
  for (size_t index = 0; index < count; index++) {
    if (is_of(&table[index], fd, range)) return &table[index];
  }
  return NULL;
}

/* What is left of a shared lock on either side of a range is taken before the lock is given up. */
static int64_t keep_rest(struct held held, struct range range) {
  struct range before = {held.range.start, range.start};
  struct range behind = {range.end, held.range.end};
  int64_t refused = 0;
  if (before.start < before.end) refused = take_down(held.fd, before, 0);
  if (refused == 0 && behind.start < behind.end) refused = take_down(held.fd, behind, 0);
  return refused;
}

static int64_t unlock(int fd, struct range range) {
  for (struct held *held = find(fd, range); held != NULL; held = find(fd, range)) {
    struct held gone = *held;
    int is_whole = gone.range.start >= range.start && gone.range.end <= range.end;
    size_t index = (size_t)(held - table);
    if (!is_whole && gone.is_exclusive) return -ENOTSUP;
    int64_t refused = is_whole ? 0 : keep_rest(gone, range);
    if (refused == 0) refused = give(fd, gone.range);
    if (refused < 0) return refused;
    table[index] = table[--count];
  }
  return 0;
}

/*
 * "A shared lock can overlap an exclusive lock if both were created using the same file handle",
 * and of two on the same bytes the first call gives up the exclusive one (UnlockFileEx).
 */
static int64_t share(struct held *held) {
  int64_t refused = take(held->fd, held->range, 0);
  if (refused < 0) return refused;
  refused = give(held->fd, held->range);
  if (refused == 0) held->is_exclusive = 0;
  return refused;
}

static int64_t set(int fd, int type, struct range range) {
  if (type == NONE) return unlock(fd, range);
  struct held *held = find(fd, range);
  if (held != NULL && (held->is_exclusive || type == EXCLUSIVE)) {
    int is_same = held->range.start == range.start && held->range.end == range.end;
    if (!is_same || !held->is_exclusive) return -ENOTSUP;
    return type == EXCLUSIVE ? 0 : share(held);
  }
  return take_down(fd, range, type == EXCLUSIVE);
}

int64_t sys_set_lock(int fd, int type, double offset, double length) {
  AcquireSRWLockExclusive(&table_lock);
  int64_t answer = set(fd, type, range_of(offset, length));
  ReleaseSRWLockExclusive(&table_lock);
  return answer;
}

/* Nobody tells who holds a lock, nor whether: it is taken for a moment. */
int64_t sys_get_lock(int fd, int type, double offset, double length, int64_t out[4]) {
  struct range range = range_of(offset, length);
  int64_t refused = take(fd, range, type == EXCLUSIVE);
  if (refused == 0) refused = give(fd, range);
  if (refused < 0 && refused != -EAGAIN) return refused;
  out[0] = refused == 0 ? NONE : EXCLUSIVE;
  out[1] = (int64_t)offset;
  out[2] = (int64_t)length;
  out[3] = -1;
  return 0;
}

#define FLOCK_SHARED 1
#define FLOCK_EXCLUSIVE 2
#define FLOCK_NONE 8

/* flock(2): one lock is given up before the other is taken. */
int64_t sys_lock(int fd, int operation) {
  struct range byte = {WHOLE_FILE, WHOLE_FILE + 1};
  AcquireSRWLockExclusive(&table_lock);
  int64_t answer = unlock(fd, byte);
  if (answer == 0 && !(operation & FLOCK_NONE)) {
    answer = take_down(fd, byte, (operation & FLOCK_EXCLUSIVE) != 0);
  }
  ReleaseSRWLockExclusive(&table_lock);
  return answer;
}

void locks_forget(int fd) {
  AcquireSRWLockExclusive(&table_lock);
  for (size_t index = 0; index < count;) {
    if (table[index].fd == fd) table[index] = table[--count];
    else index++;
  }
  ReleaseSRWLockExclusive(&table_lock);
}
