/*
 * What a ring of native/ does in situations that a program in JavaScript cannot arrange. Prints a
 * line for each: what it was, and what came of it.
 *
 *   time limits    a ring is closed with operations under way that have a time limit
 *   silence        completions that no row asked for fill the queue, in front of one that a row did
 *   cut run        the kernel takes the beginning of a run only, as it does when memory is out
 *   child          a child made by fork(2) ends while the ring of its parent has work
 *   registered     reads by a registered file into a registered view, beside it, by no such file
 *
 * Source: io_uring_enter(2), fork(2)
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring_state.h"

static uint32_t taken_max = UINT32_MAX;

/* The kernel's own answer to a part of what it was to be given. */
static int enter_in_part(const struct ring *ring, uint32_t count, uint32_t wanted, uint32_t flags,
                         const struct uring_wait *wait) {
  uint32_t given = count < taken_max ? count : taken_max;
  if (count > given) taken_max = UINT32_MAX;
  return ring_enter(ring, given, wanted, flags, wait);
}

#define ring_enter enter_in_part
#include "ring.c"
#undef ring_enter

static struct descriptors descriptors;
static int ends[2];
static char bytes[64];
static struct iovec views[64];

static struct ring *opened(void) {
  struct ring_refusal refusal;
  struct ring *ring = ring_open(0, 0, &descriptors, &refusal);
  if (ring == NULL) printf("%s answers %d\n", refusal.step, refusal.error);
  return ring;
}

/* A read of a pipe that nobody has written to. */
static struct operation read_of_pipe(int32_t slot, double timeout_ms) {
  struct operation read = {.row = {.code = ROW_READ, .view_count = 1, .slot = slot}};
  views[slot].iov_base = &bytes[slot];
  views[slot].iov_len = 1;
  read.views = &views[slot];
  read.row.fd = ends[0];
  read.row.offset = -1;
  read.row.length = 1;
  read.row.timeout_ms = timeout_ms;
  return read;
}

static void push(struct ring *ring, struct operation operation) {
  ring_push(ring, &operation, 1);
}

static void give(int count) {
  if (write(ends[1], "abcdefgh", (size_t)count) != count) puts("the pipe takes nothing");
}

/* What has been told by the time that the descriptor has nothing more to say. */
static int told(struct ring *ring, double *pairs, uint32_t room) {
  uint32_t filled = 0;
  for (int turn = 0; turn < 100; turn++) {
    uint64_t count;
    usleep(1000);
    if (read(ring_wake_fd(ring), &count, sizeof count) < 0) continue;
    filled += ring_reap(ring, pairs + 2 * filled, room - filled);
  }
  return (int)filled;
}

static int close_with_time_limits(void) {
  struct ring *ring = opened();
  if (ring == NULL) return 1;
  for (int32_t slot = 0; slot < 64; slot++) push(ring, read_of_pipe(slot, 600000));
  ring_submit(ring);
  ring_close(ring);
  puts("time limits: closed");
  return 0;
}

static int silence(void) {
  double pairs[2 * 4];
  struct ring *ring = opened();
  if (ring == NULL) return 1;
  push(ring, read_of_pipe(0, 0));
  ring_submit(ring);
  for (int32_t times = 0; times < 9000; times++) ring_cancel(ring, 1000);
  give(1);
  printf("silence: %d told\n", told(ring, pairs, 4));
  ring_close(ring);
  return 0;
}

/* Four that are linked, of which the kernel takes two: the others have not begun. */
static int cut_run(void) {
  double pairs[2 * 4];
  int32_t results[4];
  struct operation run[4];
  struct ring *ring = opened();
  if (ring == NULL) return 1;
  for (int32_t slot = 0; slot < 4; slot++) {
    run[slot] = read_of_pipe(slot, slot == 1 ? 600000 : 0);
    run[slot].row.marks = slot < 3 ? ROW_LINKED : 0;
  }
  taken_max = 2;
  ring_push(ring, run, 4);
  ring_submit(ring);
  give(4);
  int count = told(ring, pairs, 4);
  for (int at = 0; at < count; at++) results[(int)pairs[2 * at]] = (int32_t)pairs[2 * at + 1];
  printf("cut run: %d told,", count);
  for (int slot = 0; slot < count; slot++) printf(" %d", results[slot]);
  printf(", %d in flight\n", (int)ring_in_flight(ring));
  ring_close(ring);
  return read(ends[0], bytes, 4) != 2;
}

static int child(void) {
  double pairs[2 * 4];
  struct ring *ring = opened();
  if (ring == NULL) return 1;
  for (int32_t slot = 0; slot < 4; slot++) push(ring, read_of_pipe(slot, 0));
  ring_submit(ring);
  pid_t made = fork();
  if (made == 0) exit(0);
  int status = -1;
  waitpid(made, &status, 0);
  give(4);
  printf("child: ended with %d, %d told\n", status, told(ring, pairs, 4));
  ring_close(ring);
  return 0;
}

/* Only the kernel's tables know the file, and that memory outside of the view is none of it. */
static int registered(void) {
  double pairs[2 * 4];
  int32_t results[3] = {0};
  struct ring *ring = opened();
  if (ring == NULL) return 1;
  struct iovec view = {bytes, 8};
  int refused = ring_register_view(ring, 3, &view) + ring_register_file(ring, 5, ends[0]);
  for (int32_t slot = 0; slot < 3; slot++) {
    struct operation read = read_of_pipe(slot, 0);
    read.row.marks = ROW_FIXED_FILE | ROW_FIXED_VIEW;
    read.row.fd = -1;
    read.row.fd2 = slot == 2 ? 6 : 5;
    read.row.mode = 3;
    views[slot].iov_base = &bytes[slot == 1 ? 9 : 0];
    push(ring, read);
  }
  ring_submit(ring);
  give(1);
  int count = told(ring, pairs, 4);
  for (int at = 0; at < count; at++) results[(int)pairs[2 * at]] = (int32_t)pairs[2 * at + 1];
  printf("registered: %d, %d %d %d\n", refused, results[0], results[1], results[2]);
  ring_close(ring);
  return 0;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (pipe(ends) != 0) return 1;
  return silence() + cut_run() + child() + registered() + close_with_time_limits();
}
