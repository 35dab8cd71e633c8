/* Rows to submissions, completions to pairs. Witness: io_uring_enter(2); Linux 6.18, io_uring/. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring_state.h"
#include "syscalls.h"

#define SILENT UINT64_MAX              /* user data of what no row asked for */
#define TRANSFER_BYTES_MAX 0x7ffff000U /* MAX_RW_COUNT: read(2), NOTES */
#define AT_EMPTY 0x1000U
#define CLOSE_ON_EXEC 02000000U
#define APPEND_FLAG 0x10U /* RWF_APPEND: pwritev2(2) */
#define REFUSALS_MAX 8
#define WORK_MAX 20U /* IO_LOCAL_TW_DEFAULT_MAX: io_uring/io_uring.c, since Linux 6.13 */

static uint32_t get(const uint32_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }

static void put(uint32_t *at, uint32_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }

static uint32_t submissions_of(const struct operation *operations, uint32_t count) {
  uint32_t total = count;
  for (uint32_t index = 0; index < count; index++) total += operations[index].row.timeout_ms > 0;
  return total;
}

/* A descriptor opened in the run is known to nobody before the run is on its way. */
static int takes(const struct ring *ring, const struct operation *operations, uint32_t count) {
  if (submissions_of(operations, count) > ring->sq_entries) return 0;
  for (uint32_t index = 0; index < count; index++) {
    const struct row *row = &operations[index].row;
    if ((uint32_t)row->slot >= ring->cq_entries) return 0;
    if (!(ring->codes >> row->code & 1)) return 0;
    if (index + 1 < count && !(ring->codes_stopping >> row->code & 1)) return 0;
    if (row->fd == FD_OPENED_IN_RUN || row->fd2 == FD_OPENED_IN_RUN) return 0;
    if (row->marks & ROW_FIXED_FILE && ring->without & RING_WITHOUT_FILES) return 0;
  }
  return 1;
}

static const char empty_path[1] = "";

static uint64_t address_of(const void *memory) { return (uint64_t)(uintptr_t)memory; }

static uint32_t clamped(double length) {
  return length > TRANSFER_BYTES_MAX ? TRANSFER_BYTES_MAX : (uint32_t)length;
}

/* A registered view that the ring could not register goes as any other. */
static void fill_transfer(const struct ring *ring, struct uring_sqe *sqe,
                          const struct operation *operation) {
  const struct row *row = &operation->row;
  int reads = row->code == ROW_READ;
  sqe->offset = row->offset < 0 ? UINT64_MAX : (uint64_t)row->offset;
  if (row->flags & TRANSFER_APPENDS) {
    sqe->offset = UINT64_MAX;
    sqe->call_flags = APPEND_FLAG;
  }
  if (row->marks & ROW_FIXED_FILE) {
    sqe->flags |= URING_SQE_FIXED_FILE;
    sqe->fd = row->fd2;
  }
  if (row->view_count > 1) {
    sqe->opcode = reads ? URING_OP_READV : URING_OP_WRITEV;
    sqe->address = address_of(operation->views);
    sqe->length = row->view_count;
    return;
  }
  sqe->opcode = reads ? URING_OP_READ : URING_OP_WRITE;
  sqe->address = address_of(operation->views->iov_base);
  sqe->length = clamped((double)operation->views->iov_len);
  if (!(row->marks & ROW_FIXED_VIEW) || ring->without & RING_WITHOUT_BUFFERS) return;
  sqe->opcode = reads ? URING_OP_READ_FIXED : URING_OP_WRITE_FIXED;
  sqe->buffer_index = (uint16_t)row->mode;
}

static void fill_named(struct uring_sqe *sqe, const struct operation *operation) {
  const struct row *row = &operation->row;
  const struct iovec *views = operation->views;
  uint32_t last = row->view_count == 0 ? 0 : row->view_count - 1U;
  sqe->address = row->view_count == 0 ? 0 : address_of(views[0].iov_base);
  sqe->call_flags = (uint32_t)row->flags;
  switch (row->code) {
    case ROW_OPEN:
      sqe->opcode = URING_OP_OPENAT;
      sqe->length = (uint32_t)row->mode;
      sqe->call_flags = (uint32_t)row->flags | CLOSE_ON_EXEC;
      return;
    case ROW_STAT:
      sqe->opcode = URING_OP_STATX;
      sqe->length = STATX_WANTED;
      sqe->offset = address_of(views[last].iov_base);
      if (last > 0) return;
      sqe->address = address_of(empty_path);
      sqe->call_flags |= AT_EMPTY;
      return;
    case ROW_UNLINK:
      sqe->opcode = URING_OP_UNLINKAT;
      return;
    default: /* ROW_RENAME, ROW_LINK */
      sqe->opcode = row->code == ROW_RENAME ? URING_OP_RENAMEAT : URING_OP_LINKAT;
      sqe->length = (uint32_t)row->fd2;
      sqe->offset = address_of(views[last].iov_base);
  }
}

static void fill(const struct ring *ring, struct uring_sqe *sqe,
                 const struct operation *operation) {
  const struct row *row = &operation->row;
  memset(sqe, 0, sizeof *sqe);
  sqe->fd = row->fd;
  sqe->user_data = (uint32_t)row->slot;
  switch (row->code) {
    case ROW_READ:
    case ROW_WRITE:
      fill_transfer(ring, sqe, operation);
      return;
    case ROW_NOP:
      sqe->opcode = URING_OP_NOP;
      return;
    case ROW_SYNC:
    case ROW_SYNC_DATA:
      sqe->opcode = URING_OP_FSYNC;
      sqe->call_flags = row->code == ROW_SYNC_DATA ? URING_FSYNC_DATASYNC : 0;
      return;
    case ROW_CLOSE:
      sqe->opcode = URING_OP_CLOSE;
      return;
    case ROW_TRUNCATE:
      sqe->opcode = URING_OP_FTRUNCATE;
      sqe->offset = (uint64_t)row->length;
      return;
    case ROW_ALLOCATE:
      sqe->opcode = URING_OP_FALLOCATE;
      sqe->offset = (uint64_t)row->offset;
      sqe->address = (uint64_t)row->length;
      sqe->length = (uint32_t)row->flags;
      return;
    default:
      fill_named(sqe, operation);
  }
}

static struct uring_sqe *next_place(struct ring *ring) {
  return &ring->sqes[ring->tail++ & ring->sq_mask];
}

/* It counts from when the row before it starts, and its own completion says nothing. */
static void push_timeout(struct ring *ring, double timeout_ms, int is_linked) {
  struct uring_timespec *timeout = &ring->timeouts[ring->tail & ring->sq_mask];
  struct uring_sqe *sqe = next_place(ring);
  timeout->seconds = (int64_t)(timeout_ms / 1000);
  timeout->nanoseconds = (int64_t)((timeout_ms - (double)timeout->seconds * 1000) * 1e6);
  memset(sqe, 0, sizeof *sqe);
  sqe->opcode = URING_OP_LINK_TIMEOUT;
  sqe->fd = -1;
  sqe->address = address_of(timeout);
  sqe->length = 1;
  sqe->flags = is_linked ? URING_SQE_LINK : 0;
  sqe->user_data = SILENT;
}

static uint32_t queued(struct ring *ring) { return ring->tail - get(ring->sq_head); }

static void leave(struct ring *ring, int32_t slot) {
  ring->not_taken[ring->not_taken_count++] = slot;
}

static int32_t note_of(const struct row *row) {
  if (descriptors_opens(row->code)) return NOTED_OPEN;
  return row->code == ROW_CLOSE ? row->fd : NOTED_OTHER;
}

/* Tells what was noted of this slot when it was pushed, now that it has ended; answers how. Also a
 * close(2) that was interrupted has closed. */
static int32_t note_end(const struct ring *ring, const struct uring_cqe *cqe) {
  int32_t noted = ring->noted[(uint32_t)cqe->user_data];
  if (noted == NOTED_OTHER) return cqe->result;
  uint8_t code = noted == NOTED_OPEN ? ROW_OPEN : ROW_CLOSE;
  descriptors_note(ring->descriptors, code, noted, cqe->result);
  return code == ROW_CLOSE && cqe->result == -EINTR ? 0 : cqe->result;
}

static int find_room(struct ring *ring, const struct operation *operations, uint32_t count) {
  uint32_t needed = submissions_of(operations, count);
  if (!takes(ring, operations, count)) return 0;
  if (queued(ring) + needed > ring->sq_entries) ring_submit(ring);
  return queued(ring) + needed <= ring->sq_entries;
}

void ring_push(struct ring *ring, const struct operation *operations, uint32_t count) {
  if (!find_room(ring, operations, count)) {
    for (uint32_t index = 0; index < count; index++) leave(ring, operations[index].row.slot);
    return;
  }
  for (uint32_t index = 0; index < count; index++) {
    const struct row *row = &operations[index].row;
    struct uring_sqe *sqe = next_place(ring);
    fill(ring, sqe, &operations[index]);
    ring->noted[row->slot] = note_of(row);
    int is_linked = (row->marks & ROW_LINKED) != 0;
    if (is_linked || row->timeout_ms > 0) sqe->flags |= URING_SQE_LINK;
    if (row->timeout_ms > 0) push_timeout(ring, row->timeout_ms, is_linked);
  }
}

/*
 * Takes back what the kernel has not taken. Of a run that it had begun to take the rest is taken
 * back all the same: it may be asked for elsewhere once the completions of the first have come.
 */
static void withdraw(struct ring *ring) {
  uint32_t head = get(ring->sq_head);
  for (uint32_t at = head; at != ring->tail; at++) {
    const struct uring_sqe *sqe = &ring->sqes[at & ring->sq_mask];
    if (sqe->user_data != SILENT) leave(ring, (int32_t)sqe->user_data);
  }
  ring->tail = head;
  put(ring->sq_tail, head);
}

/*
 * Out of memory, the kernel takes a part of what it is given, and what is left of a run would begin
 * without waiting for its beginning: those rows are left, and their places made to do nothing.
 */
static void leave_cut_run(struct ring *ring) {
  uint32_t at = get(ring->sq_head);
  int is_cut = (ring->sqes[(at - 1) & ring->sq_mask].flags & URING_SQE_LINK) != 0;
  for (; is_cut && at != ring->tail; at++) {
    struct uring_sqe *sqe = &ring->sqes[at & ring->sq_mask];
    is_cut = (sqe->flags & URING_SQE_LINK) != 0;
    if (sqe->user_data != SILENT) leave(ring, (int32_t)sqe->user_data);
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = URING_OP_NOP;
    sqe->user_data = SILENT;
  }
}

/*
 * EINTR has taken nothing (io_uring_enter(2)); EBUSY and EAGAIN mean that completions are to be
 * reaped or memory to be found first, and pass; anything else is a ring that does not work.
 */
void ring_submit(struct ring *ring) {
  int refusals = 0;
  put(ring->sq_tail, ring->tail);
  while (queued(ring) > 0) {
    int taken = ring_enter(ring, queued(ring), 0, URING_ENTER_GETEVENTS, NULL);
    if (taken > 0) ring->in_flight += (uint32_t)taken;
    if (taken > 0 && queued(ring) > 0) leave_cut_run(ring);
    ring->owes = 1;
    if (taken > 0 || taken == -EINTR) continue;
    if (++refusals >= REFUSALS_MAX) withdraw(ring);
  }
}

/* ------------------------------------------------------------------------------- completion */

int ring_has_more(struct ring *ring) {
  if (ring->not_taken_count > 0) return 1;
  if (get(ring->cq_tail) != get(ring->cq_head)) return 1;
  return (get(ring->sq_flags) & (URING_SQ_TASKRUN | URING_SQ_CQ_OVERFLOW)) != 0;
}

static uint32_t reap_not_taken(struct ring *ring, double *pairs, uint32_t room) {
  uint32_t filled = 0;
  for (; filled < room && ring->not_taken_count > 0; filled++) {
    pairs[2 * filled] = ring->not_taken[--ring->not_taken_count];
    pairs[2 * filled + 1] = RING_NOT_TAKEN;
  }
  return filled;
}

/*
 * One call does no more than WORK_MAX pieces of work and keeps the rest for the next. It has taken
 * its mark away by then and wakes nobody (__io_run_local_work), and of a linked run a piece may be
 * the start of the next operation, which leaves no completion to tell by. So it is called as often
 * as there may be work left.
 */
static int finish_rest(struct ring *ring) {
  int answer = 0;
  if (!ring->owes || ring->without & RING_WITHOUT_DEFER) return 1;
  for (uint32_t left = ring->in_flight; left > WORK_MAX && answer >= 0; left -= WORK_MAX) {
    answer = ring_enter(ring, 0, 0, URING_ENTER_GETEVENTS, NULL);
  }
  ring->owes = answer < 0;
  return answer >= 0;
}

/*
 * What the kernel has yet to finish, or keeps elsewhere since there was no room, it does here. It
 * has said so once, by the wake, and does not say so again: where it refuses, we do.
 */
static void let_finish(struct ring *ring) {
  uint64_t one = 1;
  for (int refusals = 0; refusals < REFUSALS_MAX; refusals++) {
    uint32_t flags = get(ring->sq_flags) & (URING_SQ_TASKRUN | URING_SQ_CQ_OVERFLOW);
    int answer = flags == 0 ? 0 : ring_enter(ring, 0, 0, URING_ENTER_GETEVENTS, NULL);
    ring->owes |= flags != 0;
    if (answer >= 0 && finish_rest(ring)) return;
  }
  if (write(ring->wake_fd, &one, sizeof one) < 0) return; /* it is readable as it is */
}

static uint32_t reap_ended(struct ring *ring, double *pairs, uint32_t room) {
  uint32_t filled = 0;
  uint32_t head = get(ring->cq_head);
  uint32_t tail = get(ring->cq_tail);
  for (; head != tail && filled < room; head++, ring->in_flight--) {
    const struct uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];
    if (cqe->user_data == SILENT) continue;
    pairs[2 * filled] = (double)(int32_t)cqe->user_data;
    pairs[2 * filled + 1] = note_end(ring, cqe);
    filled++;
  }
  put(ring->cq_head, head);
  return filled;
}

/*
 * Where all that stood there was silent, what a row asked for may have found no room behind it: the
 * kernel has woken us for it, and does so once.
 */
uint32_t ring_reap(struct ring *ring, double *pairs, uint32_t room) {
  uint32_t filled = reap_not_taken(ring, pairs, room);
  uint32_t before;
  do {
    before = ring->in_flight;
    let_finish(ring);
    filled += reap_ended(ring, pairs + 2 * filled, room - filled);
  } while (filled == 0 && ring->in_flight < before && ring_has_more(ring));
  return filled;
}

int ring_wait(struct ring *ring, uint32_t count, double timeout_ms) {
  struct uring_timespec time = {.seconds = (int64_t)(timeout_ms / 1000)};
  time.nanoseconds = (int64_t)((timeout_ms - (double)time.seconds * 1000) * 1e6);
  struct uring_wait wait = {.timeout = timeout_ms < 0 ? 0 : address_of(&time)};
  ring->owes = 1;
  return ring_enter(ring, 0, count, URING_ENTER_GETEVENTS | URING_ENTER_EXT_ARG, &wait);
}

void ring_set_quiet(struct ring *ring, int is_quiet) {
  put(ring->cq_flags, is_quiet ? URING_CQ_EVENTFD_DISABLED : 0);
  /* The kernel sets its mark and then looks here; we set ours and then look there. */
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ring_clear_wake(struct ring *ring) {
  uint64_t count;
  if (read(ring->wake_fd, &count, sizeof count) < 0) return; /* nothing to clear */
}

/* ------------------------------------------------------------------- cancels and registrations */

static void push_cancel(struct ring *ring, uint64_t user_data, uint32_t flags) {
  if (queued(ring) == ring->sq_entries) ring_submit(ring);
  struct uring_sqe *sqe = next_place(ring);
  memset(sqe, 0, sizeof *sqe);
  sqe->opcode = URING_OP_ASYNC_CANCEL;
  sqe->fd = -1;
  sqe->address = user_data;
  sqe->call_flags = flags;
  sqe->user_data = SILENT;
  ring_submit(ring);
}

void ring_cancel(struct ring *ring, int32_t slot) { push_cancel(ring, (uint32_t)slot, 0); }

int ring_register_file(struct ring *ring, uint32_t index, int fd) {
  struct uring_update update = {.offset = index, .data = address_of(&fd), .count = 1};
  if (ring->without & RING_WITHOUT_FILES) return -EOPNOTSUPP;
  int answer = ring_register(ring, URING_REGISTER_FILES_UPDATE2, &update, sizeof update);
  return answer < 0 ? answer : 0;
}

int ring_register_view(struct ring *ring, uint32_t index, const struct iovec *view) {
  static const struct iovec none = {0};
  struct uring_update update = {.offset = index, .count = 1};
  update.data = address_of(view == NULL ? &none : view);
  if (ring->without & RING_WITHOUT_BUFFERS) return -EOPNOTSUPP;
  int answer = ring_register(ring, URING_REGISTER_BUFFERS_UPDATE, &update, sizeof update);
  return answer < 0 ? answer : 0;
}

void ring_close(struct ring *ring) {
  double pairs[2 * 64];
  ring_set_quiet(ring, 1);
  ring_submit(ring);
  if (ring->in_flight > 0) push_cancel(ring, 0, URING_ASYNC_CANCEL_ANY);
  while (ring->in_flight > 0) {
    uint32_t ended = ring_reap(ring, pairs, 64);
    int refused = ended > 0 || ring->in_flight == 0 ? 0 : ring_wait(ring, 1, -1);
    if (refused < 0 && refused != -EINTR && refused != -EBUSY && refused != -EAGAIN) break;
  }
  ring_give_back(ring);
}

uint32_t ring_in_flight(const struct ring *ring) { return ring->in_flight; }
