/* What a ring is made of: shared by ring.c and ring_setup.c, by nobody else. */
#ifndef HOLDFAST_RING_STATE_H
#define HOLDFAST_RING_STATE_H

#include "ring.h"
#include "uring.h"

struct ring {
  int fd;
  int enter_fd; /* the ring's descriptor, or its registered index */
  uint32_t enter_flags;
  int wake_fd;
  uint32_t without;
  uint64_t codes;
  uint64_t codes_stopping;
  /* Shared with the kernel. */
  uint32_t *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail, *cq_flags;
  uint32_t sq_mask, sq_entries, cq_mask, cq_entries;
  struct uring_sqe *sqes;
  struct uring_cqe *cqes;
  void *rings;
  size_t rings_bytes, sqes_bytes;
  /* Ours. */
  uint32_t tail;      /* of what is queued; the kernel sees it at ring_submit */
  uint32_t in_flight; /* submissions that have no completion yet, silent ones too */
  int owes;           /* the kernel may have kept work back since: see finish_rest */
  struct uring_timespec *timeouts; /* one for each place of the submission queue */
  int32_t *not_taken;              /* slots: there is room for as many as ring_capacity */
  uint32_t not_taken_count;
  int32_t *noted; /* by slot: NOTED_*, or the descriptor that is being closed */
  struct descriptors *descriptors;
};

/* In `noted`. */
#define NOTED_OTHER (-1)
#define NOTED_OPEN (-2)

/* io_uring_enter(2), io_uring_register(2): >= 0 or -errno. */
int ring_enter(const struct ring *ring, uint32_t count, uint32_t wanted, uint32_t flags,
               const struct uring_wait *wait);
int ring_register(const struct ring *ring, unsigned what, const void *argument, unsigned count);

/* Frees what ring_open made, whole or not. */
void ring_give_back(struct ring *ring);

#endif
