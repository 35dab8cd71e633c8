/*
 * io_uring without liburing: rows become submissions, completions become pairs of slot and result.
 *
 * Invariants: 1. One thread makes, feeds and reaps a ring; nobody else touches it but the kernel.
 *             2. Every row taken gives exactly one completion, in whatever order the kernel ends
 *                them; rows of one run start one after the other.
 *             3. A run is either all in one submission to the kernel or not in the ring at all:
 *                the kernel takes a chain that a submission cuts for a whole one.
 *             4. Memory of a row belongs to the kernel until its completion; after ring_close
 *                nothing is the kernel's any more.
 *             5. The ring takes only the operations it was born for: everything else answers
 *                -EACCES in the kernel (IORING_REGISTER_RESTRICTIONS).
 * Source: io_uring_setup(2), io_uring_enter(2), io_uring_register(2)
 */
#ifndef HOLDFAST_RING_H
#define HOLDFAST_RING_H

#include <stdint.h>

#include "descriptors.h"
#include "rows.h"

/* What the ring may do without, by name in src/engine/ring.ts; as a mask it turns them off. */
#define RING_WITHOUT_DEFER 1U      /* task work runs when the thread enters, not before */
#define RING_WITHOUT_NO_SQARRAY 2U /* submissions are used in order, without an index */
#define RING_WITHOUT_FILES 4U      /* registered files */
#define RING_WITHOUT_BUFFERS 8U    /* registered buffers */
#define RING_WITHOUT_RING_FD 16U   /* the ring's own descriptor registered */
#define RING_WITHOUT_RESTRICTIONS 32U
#define RING_WITHOUT_LARGE 64U /* room for 4096 completions */

#define RING_TABLE_MAX 1024U /* registered files, and registered buffers */

/* In place of a result: the kernel was not asked. Somebody else may be. */
#define RING_NOT_TAKEN (-4096)

struct ring;

/* Why there is no ring: the step that was refused and its -errno. */
struct ring_refusal {
  const char *step;
  int error;
};

/*
 * NULL with the refusal when there is no ring to be had; bit n of `codes_without` is code n. What
 * it opens and closes it tells `descriptors`.
 */
struct ring *ring_open(uint32_t without, uint64_t codes_without, struct descriptors *descriptors,
                       struct ring_refusal *refusal);

/* Cancels what it can, waits for the rest, gives everything back. */
void ring_close(struct ring *ring);

/* What it does without, as above, by choice or because the kernel has it not. */
uint32_t ring_without(const struct ring *ring);

/* Bit n: rows of code n are taken. */
uint64_t ring_codes(const struct ring *ring);

/* Of those: the kernel stops a run where they are refused. The others can only be a run's last. */
uint64_t ring_codes_stopping(const struct ring *ring);

/* Rows that may be outstanding: their completions fit. The caller keeps to it, and to slots below
 * it. */
uint32_t ring_capacity(const struct ring *ring);

/* The descriptor that becomes readable when there is something to reap. */
int ring_wake_fd(const struct ring *ring);

/* Queues one run; nothing is asked of the kernel unless there is no room. A run the ring does not
 * take is answered RING_NOT_TAKEN: an operation it has not, one that would not stop the run, a
 * descriptor the run itself opens. */
void ring_push(struct ring *ring, const struct operation *operations, uint32_t count);

/*
 * Hands what is queued to the kernel and lets it finish what is at its end. What it refuses is
 * answered RING_NOT_TAKEN.
 */
void ring_submit(struct ring *ring);

/* Fills pairs (slot, result), at most `room` of them; answers how many. */
uint32_t ring_reap(struct ring *ring, double *pairs, uint32_t room);

/* True when a reap may find something, of what the kernel has yet to put there too. */
int ring_has_more(struct ring *ring);

/* Submissions that the kernel has not ended. */
uint32_t ring_in_flight(const struct ring *ring);

/* Waits until `count` completions stand there, or the time is over (negative: for ever). */
int ring_wait(struct ring *ring, uint32_t count, double timeout_ms);

/* While it is quiet, completions do not make the descriptor readable. */
void ring_set_quiet(struct ring *ring, int is_quiet);

/* Takes the readability of the descriptor away. */
void ring_clear_wake(struct ring *ring);

/* Asks for an end of the row in this slot. It completes either way. */
void ring_cancel(struct ring *ring, int32_t slot);

/* Puts a file (-1: none) or a view (NULL: none) into a place of its table. 0 or -errno. */
int ring_register_file(struct ring *ring, uint32_t index, int fd);
int ring_register_view(struct ring *ring, uint32_t index, const struct iovec *view);

#endif
