/*
 * Asks a ring of native/ for what it was not born for, past everything that would not ask. Prints a
 * line for each: what was asked, and the kernel's answer.
 *
 * Source: io_uring_register(2), IORING_REGISTER_RESTRICTIONS
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "ring_state.h"

enum { op_socket = 45, op_read = URING_OP_READ, sqe_async = 1 << 4, register_files = 2 };

static int asked(struct ring *ring, uint8_t opcode, uint8_t flags) {
  static char byte;
  struct uring_sqe *sqe = &ring->sqes[ring->tail++ & ring->sq_mask];
  memset(sqe, 0, sizeof *sqe);
  sqe->opcode = opcode;
  sqe->flags = flags;
  sqe->fd = opcode == op_socket ? 1 /* AF_UNIX */ : 0;
  sqe->offset = opcode == op_socket ? 1 /* SOCK_STREAM */ : 0;
  sqe->address = opcode == op_read ? (uint64_t)(uintptr_t)&byte : 0;
  sqe->length = opcode == op_read ? 1 : 0;
  ring_submit(ring);
  double pair[2] = {0};
  while (ring_reap(ring, pair, 1) == 0) ring_wait(ring, 1, 1000);
  return (int)pair[1];
}

static int ask_all(const char *name, uint32_t without, uint64_t codes_without) {
  struct descriptors descriptors = {0};
  struct ring_refusal refusal;
  struct ring *ring = ring_open(without, codes_without, &descriptors, &refusal);
  if (ring == NULL) {
    printf("%s: %s answers %d\n", name, refusal.step, refusal.error);
    return 1;
  }
  int made = asked(ring, op_socket, 0);
  printf("%s: nop %d\n", name, asked(ring, URING_OP_NOP, 0));
  printf("%s: socket %d\n", name, made < 0 ? made : 0);
  printf("%s: read %d\n", name, asked(ring, op_read, 0));
  printf("%s: nop on a thread of the kernel's %d\n", name, asked(ring, URING_OP_NOP, sqe_async));
  printf("%s: register files %d\n", name, ring_register(ring, register_files, &made, 0));
  ring_close(ring);
  return 0;
}

/* The standard input is the file to read from. */
int main(void) {
  uint64_t reads = UINT64_C(1) << ROW_READ;
  return ask_all("whole", 0, 0) + ask_all("without reads", 0, reads) +
         ask_all("unrestricted", RING_WITHOUT_RESTRICTIONS, reads);
}
