#include "maps.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "maps_guard.h"
#include "syscalls.h"

/* A handle is a place in the table and how often the place was taken, in 31 bits. */
#define PLACE_BITS 20
#define PLACE_COUNT (1 << PLACE_BITS)
#define TIMES_MASK 0x7ff
/* The table grows by segments, each twice as large as the one before; they are never freed. */
#define SEGMENT_FIRST 64
#define SEGMENT_COUNT 15

struct map {
  /* For the handler: a sequence lock, odd while the rest changes. */
  _Atomic uint32_t version;
  _Atomic uint32_t faults;
  _Atomic uintptr_t start; /* whole pages */
  _Atomic uintptr_t end;   /* 0: the place is free */
  _Atomic int64_t offset;  /* of `start` in the file */
  _Atomic int fd;          /* of our own */
  _Atomic int protection;
  /* Under the lock. */
  uint32_t times;
  const void *owner;
  int32_t next_free;
};

static _Atomic(struct map *) segments[SEGMENT_COUNT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int32_t place_count;
static int32_t first_free = -1;

static struct map *at_place(int32_t place) {
  uint32_t rest = (uint32_t)place;
  uint32_t size = SEGMENT_FIRST;
  for (int segment = 0; segment < SEGMENT_COUNT; segment++, size *= 2) {
    if (rest < size) {
      struct map *maps = atomic_load_explicit(&segments[segment], memory_order_acquire);
      return maps == NULL ? NULL : &maps[rest];
    }
    rest -= size;
  }
  return NULL;
}

/* ----------------------------------------------------------------------------- the handler's */

struct range {
  uintptr_t start, end;
  int64_t offset;
  int fd, protection;
};

/*
 * A place that changes meanwhile is not the one: the map somebody has faulted in is left by the
 * thread that made it, and that one is here, or waits for whoever uses the memory.
 */
static int read_range(struct map *map, struct range *range) {
  uint32_t version = atomic_load_explicit(&map->version, memory_order_acquire);
  if (version & 1) return 0;
  range->start = atomic_load_explicit(&map->start, memory_order_relaxed);
  range->end = atomic_load_explicit(&map->end, memory_order_relaxed);
  range->offset = atomic_load_explicit(&map->offset, memory_order_relaxed);
  range->fd = atomic_load_explicit(&map->fd, memory_order_relaxed);
  range->protection = atomic_load_explicit(&map->protection, memory_order_relaxed);
  atomic_thread_fence(memory_order_acquire);
  return version == atomic_load_explicit(&map->version, memory_order_relaxed);
}

static struct map *map_at(uintptr_t address, struct range *range) {
  uint32_t size = SEGMENT_FIRST;
  for (int segment = 0; segment < SEGMENT_COUNT; segment++, size *= 2) {
    struct map *maps = atomic_load_explicit(&segments[segment], memory_order_acquire);
    if (maps == NULL) return NULL;
    for (uint32_t place = 0; place < size; place++) {
      if (!read_range(&maps[place], range)) continue;
      if (address >= range->start && address < range->end) return &maps[place];
    }
  }
  return NULL;
}

/* Where memory that may be written counts and there is none left, zeros to be read take none. */
static int put_zeros(uintptr_t start, uintptr_t end, int protection) {
  if (sys_map_zeros((void *)start, end - start, protection) == 0) return 1;
  return sys_map_zeros((void *)start, end - start, SYS_MAP_READS) == 0;
}

/*
 * Where the file ends before the page, all behind it is gone too, and one call replaces it; else
 * one page could not be had, and the others are good. Each page replaced by itself may be a mapping
 * more; where the kernel has no room for that, the whole map turns to zeros.
 */
int maps_mend(uintptr_t address) {
  struct range range;
  struct map *map = map_at(address, &range);
  if (map == NULL) return 0;
  atomic_fetch_add(&map->faults, 1);
  uintptr_t page_bytes = (uintptr_t)sys_page_bytes();
  uintptr_t page = address - address % page_bytes;
  int64_t size = sys_file_size(range.fd);
  int is_cut = size >= 0 && range.offset + (int64_t)(page - range.start) >= size;
  uintptr_t end = is_cut ? range.end : page + page_bytes;
  if (put_zeros(page, end, range.protection)) return 1;
  return put_zeros(range.start, range.end, range.protection);
}

/* -------------------------------------------------------------------------- under the lock */

static void begin_change(struct map *map) {
  atomic_fetch_add_explicit(&map->version, 1, memory_order_relaxed);
  atomic_thread_fence(memory_order_release);
}

static void end_change(struct map *map) {
  atomic_fetch_add_explicit(&map->version, 1, memory_order_release);
}

static int32_t grow(void) {
  uint32_t size = SEGMENT_FIRST;
  int32_t first = 0;
  int segment = 0;
  for (; segment < SEGMENT_COUNT && first < place_count; segment++, size *= 2) {
    first += (int32_t)size;
  }
  if (segment == SEGMENT_COUNT || first + (int32_t)size > PLACE_COUNT) return -ENFILE;
  struct map *maps = calloc(size, sizeof *maps);
  if (maps == NULL) return -ENOMEM;
  for (uint32_t place = 0; place < size; place++) {
    atomic_init(&maps[place].fd, -1);
    maps[place].next_free = place + 1 < size ? first + (int32_t)place + 1 : -1;
  }
  place_count = first + (int32_t)size;
  first_free = first;
  atomic_store_explicit(&segments[segment], maps, memory_order_release);
  return 0;
}

static int32_t handle_of(const struct map *map, int32_t place) {
  return (int32_t)((map->times & TIMES_MASK) << PLACE_BITS) | place;
}

static struct map *named(int32_t handle) {
  if (handle < 0) return NULL;
  int32_t place = handle & (PLACE_COUNT - 1);
  struct map *map = at_place(place);
  if (map == NULL || atomic_load(&map->end) == 0) return NULL;
  return handle_of(map, place) == handle ? map : NULL;
}

static size_t length_of(const struct map *map) {
  return atomic_load(&map->end) - atomic_load(&map->start);
}

/* The handler does not see it any more. */
static void forget(struct map *map, int32_t place) {
  int fd = atomic_load(&map->fd);
  begin_change(map);
  atomic_store_explicit(&map->start, 0, memory_order_relaxed);
  atomic_store_explicit(&map->end, 0, memory_order_relaxed);
  atomic_store_explicit(&map->fd, -1, memory_order_relaxed);
  end_change(map);
  map->times++;
  map->owner = NULL;
  map->next_free = first_free;
  first_free = place;
  sys_close(fd);
}

/*
 * Memory that was collected may be somebody else's before the map in it is forgotten. What lies
 * where a new map is made was collected.
 */
static void forget_overlapped(uintptr_t start, uintptr_t end) {
  for (int32_t place = 0; place < place_count; place++) {
    struct map *map = at_place(place);
    if (atomic_load(&map->end) > start && atomic_load(&map->start) < end) forget(map, place);
  }
}

static int64_t take_place(void *start, size_t length, int fd, int protection, int64_t offset) {
  int refused = first_free < 0 ? grow() : 0;
  if (refused < 0) return refused;
  int32_t place = first_free;
  struct map *map = at_place(place);
  first_free = map->next_free;
  begin_change(map);
  atomic_store_explicit(&map->faults, 0, memory_order_relaxed);
  atomic_store_explicit(&map->start, (uintptr_t)start, memory_order_relaxed);
  atomic_store_explicit(&map->end, (uintptr_t)start + length, memory_order_relaxed);
  atomic_store_explicit(&map->offset, offset, memory_order_relaxed);
  atomic_store_explicit(&map->fd, fd, memory_order_relaxed);
  atomic_store_explicit(&map->protection, protection, memory_order_relaxed);
  end_change(map);
  return handle_of(map, place);
}

/* ------------------------------------------------------------------------------ the calls */

/* Known to the handler before there is anything to fault in. */
static int64_t register_map(const struct iovec *memory, int fd, int protection, double offset) {
  pthread_mutex_lock(&lock);
  int64_t answer = guard_install();
  if (answer == 0) {
    uintptr_t start = (uintptr_t)memory->iov_base;
    forget_overlapped(start, start + memory->iov_len);
    answer = take_place(memory->iov_base, memory->iov_len, fd, protection, (int64_t)offset);
  }
  pthread_mutex_unlock(&lock);
  return answer;
}

int64_t maps_open(const struct iovec *memory, int fd, int flags, int protection, double offset) {
  size_t page_bytes = (size_t)sys_page_bytes();
  if (!(offset >= 0) || memory->iov_len == 0) return -EINVAL;
  if ((uintptr_t)memory->iov_base % page_bytes || memory->iov_len % page_bytes) return -EINVAL;
  int64_t own = sys_duplicate(fd);
  if (own < 0) return own;
  int64_t handle = register_map(memory, (int)own, protection, offset);
  if (handle < 0) {
    sys_close((int)own);
    return handle;
  }
  int64_t refused = sys_map(memory->iov_base, memory->iov_len, protection, flags, fd, offset);
  if (refused == 0) return handle;
  maps_forget((int32_t)handle);
  return refused;
}

static int64_t end_map(int32_t handle, int has_memory) {
  int64_t answer = -EBADF;
  pthread_mutex_lock(&lock);
  struct map *map = named(handle);
  if (map != NULL) {
    void *start = (void *)atomic_load(&map->start);
    answer = has_memory ? sys_map_zeros(start, length_of(map), atomic_load(&map->protection)) : 0;
    forget(map, handle & (PLACE_COUNT - 1));
  }
  pthread_mutex_unlock(&lock);
  return answer;
}

int64_t maps_leave(int32_t handle) { return end_map(handle, 1); }

void maps_forget(int32_t handle) { end_map(handle, 0); }

static int memory_of(int32_t handle, struct iovec *memory) {
  pthread_mutex_lock(&lock);
  const struct map *map = named(handle);
  if (map != NULL) {
    memory->iov_base = (void *)atomic_load(&map->start);
    memory->iov_len = length_of(map);
  }
  pthread_mutex_unlock(&lock);
  return map != NULL;
}

/* The part of a map that a range names; 0 when it is not inside. */
static int part_of(int32_t handle, double offset, double length, struct iovec *part) {
  struct iovec memory;
  if (!memory_of(handle, &memory)) return 0;
  if (!(offset >= 0) || !(length >= 0) || offset + length > (double)memory.iov_len) return 0;
  part->iov_base = (char *)memory.iov_base + (size_t)offset;
  part->iov_len = (size_t)length;
  return 1;
}

int64_t maps_sync(int32_t handle, double offset, double length) {
  struct iovec part;
  if (!part_of(handle, offset, length, &part)) return -EINVAL;
  return sys_sync_map(part.iov_base, part.iov_len);
}

int64_t maps_advise(int32_t handle, double offset, double length, int advice) {
  struct iovec part;
  if (!part_of(handle, offset, length, &part)) return -EINVAL;
  return sys_advise_map(part.iov_base, part.iov_len, advice);
}

int64_t maps_look(int32_t handle) {
  pthread_mutex_lock(&lock);
  struct map *map = named(handle);
  int fd = map == NULL ? -1 : atomic_load(&map->fd);
  int is_whole = map == NULL || atomic_load(&map->faults) == 0;
  pthread_mutex_unlock(&lock);
  return is_whole ? sys_file_size(fd) : -EFAULT;
}

void maps_adopt(int32_t handle, const void *owner) {
  pthread_mutex_lock(&lock);
  struct map *map = named(handle);
  if (map != NULL) map->owner = owner;
  pthread_mutex_unlock(&lock);
}

void maps_forget_all(const void *owner) {
  pthread_mutex_lock(&lock);
  for (int32_t place = 0; place < place_count; place++) {
    struct map *map = at_place(place);
    if (map->owner == owner && atomic_load(&map->end) != 0) forget(map, place);
  }
  pthread_mutex_unlock(&lock);
}

int maps_guarded(void) { return guard_is_installed(); }
