/* The birth of a ring. Witness: io_uring_setup(2), io_uring_register(2); Linux 6.18, io_uring/. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring_state.h"

#define SUBMISSIONS 256U
#define COMPLETIONS_LARGE 4096U

int ring_register(const struct ring *ring, unsigned what, const void *argument, unsigned count) {
  long answer = syscall(URING_SYS_REGISTER, ring->fd, what, argument, count);
  return answer < 0 ? -errno : (int)answer;
}

int ring_enter(const struct ring *ring, uint32_t count, uint32_t wanted, uint32_t flags,
               const struct uring_wait *wait) {
  long answer = syscall(URING_SYS_ENTER, ring->enter_fd, count, wanted, flags | ring->enter_flags,
                        wait, wait == NULL ? 0 : sizeof *wait);
  return answer < 0 ? -errno : (int)answer;
}

static int do_setup(struct ring *ring, struct uring_params *params) {
  uint32_t wanted = URING_SETUP_R_DISABLED | URING_SETUP_CLAMP | URING_SETUP_SUBMIT_ALL |
                    URING_SETUP_COOP_TASKRUN | URING_SETUP_TASKRUN_FLAG |
                    URING_SETUP_SINGLE_ISSUER;
  if (!(ring->without & RING_WITHOUT_DEFER)) wanted |= URING_SETUP_DEFER_TASKRUN;
  if (!(ring->without & RING_WITHOUT_NO_SQARRAY)) wanted |= URING_SETUP_NO_SQARRAY;
  if (!(ring->without & RING_WITHOUT_LARGE)) wanted |= URING_SETUP_CQSIZE;
  memset(params, 0, sizeof *params);
  params->flags = wanted;
  params->cq_entries = COMPLETIONS_LARGE;
  ring->fd = (int)syscall(URING_SYS_SETUP, SUBMISSIONS, params);
  return ring->fd < 0 ? -errno : 0;
}

/* Kernels before 6.6 have no NO_SQARRAY, those before 6.1 no DEFER_TASKRUN; 64 KiB of
 * RLIMIT_MEMLOCK may be too few for a large completion queue. */
static int setup_somehow(struct ring *ring, struct uring_params *params) {
  int refused = do_setup(ring, params);
  if (refused == -EINVAL && !(ring->without & RING_WITHOUT_NO_SQARRAY)) {
    ring->without |= RING_WITHOUT_NO_SQARRAY;
    refused = do_setup(ring, params);
  }
  if (refused == -EINVAL && !(ring->without & RING_WITHOUT_DEFER)) {
    ring->without |= RING_WITHOUT_DEFER;
    refused = do_setup(ring, params);
  }
  if (refused == -ENOMEM && !(ring->without & RING_WITHOUT_LARGE)) {
    ring->without |= RING_WITHOUT_LARGE;
    refused = do_setup(ring, params);
  }
  return refused;
}

static uint32_t *at_offset(const struct ring *ring, uint32_t offset) {
  return (uint32_t *)(void *)((char *)ring->rings + offset);
}

static int map_rings(struct ring *ring, const struct uring_params *params) {
  size_t sq_bytes = params->sq.array + params->sq_entries * sizeof(uint32_t);
  size_t cq_bytes = params->cq.cqes + params->cq_entries * sizeof(struct uring_cqe);
  int protection = PROT_READ | PROT_WRITE;
  int kind = MAP_SHARED | MAP_POPULATE;
  ring->rings_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
  ring->sqes_bytes = params->sq_entries * sizeof(struct uring_sqe);
  void *rings = mmap(NULL, ring->rings_bytes, protection, kind, ring->fd, URING_OFF_RINGS);
  if (rings == MAP_FAILED) return -errno;
  ring->rings = rings;
  void *sqes = mmap(NULL, ring->sqes_bytes, protection, kind, ring->fd, URING_OFF_SQES);
  if (sqes == MAP_FAILED) return -errno;
  ring->sqes = sqes;
  ring->sq_head = at_offset(ring, params->sq.head);
  ring->sq_tail = at_offset(ring, params->sq.tail);
  ring->sq_flags = at_offset(ring, params->sq.flags);
  ring->cq_head = at_offset(ring, params->cq.head);
  ring->cq_tail = at_offset(ring, params->cq.tail);
  ring->cq_flags = at_offset(ring, params->cq.flags);
  ring->cqes = (struct uring_cqe *)(void *)((char *)rings + params->cq.cqes);
  ring->sq_entries = params->sq_entries;
  ring->cq_entries = params->cq_entries;
  ring->sq_mask = params->sq_entries - 1;
  ring->cq_mask = params->cq_entries - 1;
  if (ring->without & RING_WITHOUT_NO_SQARRAY) {
    uint32_t *indexes = (uint32_t *)(void *)((char *)rings + params->sq.array);
    for (uint32_t index = 0; index < params->sq_entries; index++) indexes[index] = index;
  }
  return 0;
}

/*
 * What a row of each code becomes. One view goes as it is, several go by their table.
 *
 * Only a refusal that the kernel notes in the request (req_set_fail) stops what is linked behind
 * it. Linux 6.18 does for reads, writes, opens and closes, and for none of the others: behind a
 * failed fsync a linked rename took place (io_uring/sync.c, fs.c, statx.c, truncate.c).
 */
static const struct {
  uint8_t code, op, op_vectored, stops;
} operations_known[] = {
    {ROW_NOP, URING_OP_NOP, URING_OP_NOP, 1},
    {ROW_READ, URING_OP_READ, URING_OP_READV, 1},
    {ROW_WRITE, URING_OP_WRITE, URING_OP_WRITEV, 1},
    {ROW_SYNC, URING_OP_FSYNC, URING_OP_FSYNC, 0},
    {ROW_SYNC_DATA, URING_OP_FSYNC, URING_OP_FSYNC, 0},
    {ROW_OPEN, URING_OP_OPENAT, URING_OP_OPENAT, 1},
    {ROW_CLOSE, URING_OP_CLOSE, URING_OP_CLOSE, 1},
    {ROW_STAT, URING_OP_STATX, URING_OP_STATX, 0},
    {ROW_TRUNCATE, URING_OP_FTRUNCATE, URING_OP_FTRUNCATE, 0},
    {ROW_RENAME, URING_OP_RENAMEAT, URING_OP_RENAMEAT, 0},
    {ROW_UNLINK, URING_OP_UNLINKAT, URING_OP_UNLINKAT, 0},
    {ROW_LINK, URING_OP_LINKAT, URING_OP_LINKAT, 0},
    {ROW_ALLOCATE, URING_OP_FALLOCATE, URING_OP_FALLOCATE, 0},
};

#define KNOWN_COUNT (sizeof operations_known / sizeof operations_known[0])

static int is_supported(const struct uring_probe *probe, uint8_t op) {
  return op < 64 && op <= probe->last && (probe->ops[op].flags & URING_OP_SUPPORTED) != 0;
}

/* The codes whose operations the kernel says it has. */
static int ask_operations(struct ring *ring, uint64_t codes_without) {
  struct uring_probe probe;
  memset(&probe, 0, sizeof probe);
  int refused = ring_register(ring, URING_REGISTER_PROBE, &probe, 64);
  if (refused < 0) return refused;
  if (!is_supported(&probe, URING_OP_ASYNC_CANCEL)) return -EOPNOTSUPP;
  if (!is_supported(&probe, URING_OP_LINK_TIMEOUT)) return -EOPNOTSUPP;
  for (size_t index = 0; index < KNOWN_COUNT; index++) {
    uint64_t bit = UINT64_C(1) << operations_known[index].code;
    if (codes_without & bit) continue;
    if (!is_supported(&probe, operations_known[index].op)) continue;
    if (!is_supported(&probe, operations_known[index].op_vectored)) continue;
    ring->codes |= bit;
    if (operations_known[index].stops) ring->codes_stopping |= bit;
  }
  return 0;
}

/* Tables with nothing in them: what is registered later takes a place. */
static void make_tables(struct ring *ring) {
  struct uring_resources empty = {.count = RING_TABLE_MAX, .flags = URING_RESOURCES_SPARSE};
  if (!(ring->without & RING_WITHOUT_FILES) &&
      ring_register(ring, URING_REGISTER_FILES2, &empty, sizeof empty) < 0) {
    ring->without |= RING_WITHOUT_FILES;
  }
  if (!(ring->without & RING_WITHOUT_BUFFERS) &&
      ring_register(ring, URING_REGISTER_BUFFERS2, &empty, sizeof empty) < 0) {
    ring->without |= RING_WITHOUT_BUFFERS;
  }
}

/* Looking the ring up by its descriptor takes an atomic increment in a process with threads. */
static void register_itself(struct ring *ring) {
  struct {
    uint32_t index;
    uint32_t spare;
    uint64_t fd;
  } update = {.index = UINT32_MAX, .fd = (uint64_t)ring->fd};
  ring->enter_fd = ring->fd;
  if (ring->without & RING_WITHOUT_RING_FD) return;
  if (ring_register(ring, URING_REGISTER_RING_FDS, &update, 1) != 1) {
    ring->without |= RING_WITHOUT_RING_FD;
    return;
  }
  ring->enter_fd = (int)update.index;
  ring->enter_flags = URING_ENTER_REGISTERED_RING;
}

static int restrict_to_known(struct ring *ring) {
  static const uint8_t extra[] = {URING_OP_READ_FIXED, URING_OP_WRITE_FIXED, URING_OP_ASYNC_CANCEL,
                                  URING_OP_LINK_TIMEOUT};
  static const uint8_t registers[] = {URING_REGISTER_ENABLE_RINGS, URING_REGISTER_FILES_UPDATE2,
                                      URING_REGISTER_BUFFERS_UPDATE};
  struct uring_restriction all[2 * KNOWN_COUNT + 16];
  unsigned count = 0;
  if (ring->without & RING_WITHOUT_RESTRICTIONS) return 0;
  memset(all, 0, sizeof all);
  for (size_t index = 0; index < KNOWN_COUNT; index++) {
    if (!(ring->codes & UINT64_C(1) << operations_known[index].code)) continue;
    all[count].kind = URING_RESTRICTION_SQE_OP;
    all[count++].value = operations_known[index].op;
    all[count].kind = URING_RESTRICTION_SQE_OP;
    all[count++].value = operations_known[index].op_vectored;
  }
  for (size_t index = 0; index < sizeof extra; index++) {
    all[count].kind = URING_RESTRICTION_SQE_OP;
    all[count++].value = extra[index];
  }
  for (size_t index = 0; index < sizeof registers; index++) {
    all[count].kind = URING_RESTRICTION_REGISTER_OP;
    all[count++].value = registers[index];
  }
  all[count].kind = URING_RESTRICTION_SQE_FLAGS_ALLOWED;
  all[count++].value = URING_SQE_FIXED_FILE | URING_SQE_LINK;
  return ring_register(ring, URING_REGISTER_RESTRICTIONS, all, count);
}

static int make_wake(struct ring *ring) {
  ring->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (ring->wake_fd < 0) return -errno;
  return ring_register(ring, URING_REGISTER_EVENTFD, &ring->wake_fd, 1);
}

static int make_room(struct ring *ring) {
  ring->timeouts = calloc(ring->sq_entries, sizeof *ring->timeouts);
  ring->not_taken = calloc(ring->cq_entries, sizeof *ring->not_taken);
  ring->noted = calloc(ring->cq_entries, sizeof *ring->noted);
  if (ring->timeouts == NULL || ring->not_taken == NULL) return -ENOMEM;
  return ring->noted != NULL ? 0 : -ENOMEM;
}

#define FEATURES_NEEDED                                                                \
  (URING_FEAT_SINGLE_MMAP | URING_FEAT_NODROP | URING_FEAT_SUBMIT_STABLE |             \
   URING_FEAT_RW_CUR_POS | URING_FEAT_EXT_ARG)

static int build(struct ring *ring, uint64_t codes_without, const char **step) {
  struct uring_params params;
  int refused;
  *step = "io_uring_setup";
  if ((refused = setup_somehow(ring, &params)) < 0) return refused;
  *step = "features of the ring";
  if ((params.features & FEATURES_NEEDED) != FEATURES_NEEDED) return -EOPNOTSUPP;
  *step = "map the ring";
  if ((refused = map_rings(ring, &params)) < 0) return refused;
  *step = "memory for the ring";
  if ((refused = make_room(ring)) < 0) return refused;
  *step = "io_uring_register(PROBE)";
  if ((refused = ask_operations(ring, codes_without)) < 0) return refused;
  *step = "eventfd";
  if ((refused = make_wake(ring)) < 0) return refused;
  make_tables(ring);
  register_itself(ring);
  *step = "io_uring_register(RESTRICTIONS)";
  if ((refused = restrict_to_known(ring)) < 0) return refused;
  *step = "io_uring_register(ENABLE_RINGS)";
  if ((refused = ring_register(ring, URING_REGISTER_ENABLE_RINGS, NULL, 0)) < 0) return refused;
  /* A filter may allow the other two and not this one; each batch would then be refused. */
  *step = "io_uring_enter";
  return ring_enter(ring, 0, 0, URING_ENTER_GETEVENTS, NULL);
}

void ring_give_back(struct ring *ring) {
  if (ring->sqes != NULL) munmap(ring->sqes, ring->sqes_bytes);
  if (ring->rings != NULL) munmap(ring->rings, ring->rings_bytes);
  if (ring->fd >= 0) close(ring->fd);
  if (ring->wake_fd >= 0) close(ring->wake_fd);
  free(ring->timeouts);
  free(ring->not_taken);
  free(ring->noted);
  free(ring);
}

struct ring *ring_open(uint32_t without, uint64_t codes_without, struct descriptors *descriptors,
                       struct ring_refusal *refusal) {
  struct ring *ring = calloc(1, sizeof *ring);
  refusal->step = "memory for the ring";
  refusal->error = -ENOMEM;
  if (ring == NULL) return NULL;
  ring->fd = -1;
  ring->wake_fd = -1;
  ring->without = without;
  ring->descriptors = descriptors;
  refusal->error = build(ring, codes_without, &refusal->step);
  if (refusal->error >= 0) return ring;
  ring_give_back(ring);
  return NULL;
}

uint32_t ring_without(const struct ring *ring) { return ring->without; }

uint64_t ring_codes(const struct ring *ring) { return ring->codes; }

uint64_t ring_codes_stopping(const struct ring *ring) { return ring->codes_stopping; }

uint32_t ring_capacity(const struct ring *ring) { return ring->cq_entries; }

int ring_wake_fd(const struct ring *ring) { return ring->wake_fd; }
