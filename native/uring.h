/*
 * The words of io_uring(7) that ring.c speaks, spelt here: Debian 12 and musl have older headers
 * than the kernels the library runs on. Witness: include/uapi/linux/io_uring.h of Linux 6.18.
 */
#ifndef HOLDFAST_URING_H
#define HOLDFAST_URING_H

#include <stdint.h>

struct uring_sqe {
  uint8_t opcode;
  uint8_t flags;
  uint16_t priority;
  int32_t fd;
  uint64_t offset; /* or a second address */
  uint64_t address;
  uint32_t length;
  uint32_t call_flags;
  uint64_t user_data;
  uint16_t buffer_index;
  uint16_t personality;
  int32_t file_index;
  uint64_t spare[2];
};

struct uring_cqe {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
};

struct uring_sq_offsets {
  uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, spare;
  uint64_t user_address;
};

struct uring_cq_offsets {
  uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, spare;
  uint64_t user_address;
};

struct uring_params {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
  uint32_t spare[3];
  struct uring_sq_offsets sq;
  struct uring_cq_offsets cq;
};

struct uring_timespec {
  int64_t seconds;
  int64_t nanoseconds;
};

/* IORING_ENTER_EXT_ARG */
struct uring_wait {
  uint64_t signals;
  uint32_t signals_bytes;
  uint32_t min_wait_us;
  uint64_t timeout;
};

struct uring_probe_op {
  uint8_t opcode;
  uint8_t spare;
  uint16_t flags;
  uint32_t spare2;
};

struct uring_probe {
  uint8_t last;
  uint8_t count;
  uint16_t spare;
  uint32_t spare2[3];
  struct uring_probe_op ops[64];
};

struct uring_restriction {
  uint16_t kind;
  uint8_t value;
  uint8_t spare;
  uint32_t spare2[3];
};

struct uring_resources {
  uint32_t count;
  uint32_t flags;
  uint64_t spare;
  uint64_t data;
  uint64_t tags;
};

struct uring_update {
  uint32_t offset;
  uint32_t spare;
  uint64_t data;
  uint64_t tags;
  uint32_t count;
  uint32_t spare2;
};

struct uring_cancel {
  uint64_t address;
  int32_t fd;
  uint32_t flags;
  struct uring_timespec timeout;
  uint8_t opcode;
  uint8_t spare[7];
  uint64_t spare2[3];
};

_Static_assert(sizeof(struct uring_sqe) == 64, "struct io_uring_sqe");
_Static_assert(sizeof(struct uring_cqe) == 16, "struct io_uring_cqe");
_Static_assert(sizeof(struct uring_params) == 120, "struct io_uring_params");
_Static_assert(sizeof(struct uring_probe) == 528, "struct io_uring_probe of 64");
_Static_assert(sizeof(struct uring_restriction) == 16, "struct io_uring_restriction");
_Static_assert(sizeof(struct uring_resources) == 32, "struct io_uring_rsrc_register");
_Static_assert(sizeof(struct uring_update) == 32, "struct io_uring_rsrc_update2");
_Static_assert(sizeof(struct uring_cancel) == 64, "struct io_uring_sync_cancel_reg");

/* The numbers of the three system calls, the same on every CPU. */
#define URING_SYS_SETUP 425
#define URING_SYS_ENTER 426
#define URING_SYS_REGISTER 427

/* IORING_SETUP_* */
#define URING_SETUP_CQSIZE (1U << 3)
#define URING_SETUP_CLAMP (1U << 4)
#define URING_SETUP_R_DISABLED (1U << 6)
#define URING_SETUP_SUBMIT_ALL (1U << 7)
#define URING_SETUP_COOP_TASKRUN (1U << 8)
#define URING_SETUP_TASKRUN_FLAG (1U << 9)
#define URING_SETUP_SINGLE_ISSUER (1U << 12)
#define URING_SETUP_DEFER_TASKRUN (1U << 13)
#define URING_SETUP_NO_SQARRAY (1U << 16)

/* IORING_FEAT_* */
#define URING_FEAT_SINGLE_MMAP (1U << 0)
#define URING_FEAT_NODROP (1U << 1)
#define URING_FEAT_SUBMIT_STABLE (1U << 2)
#define URING_FEAT_RW_CUR_POS (1U << 3)
#define URING_FEAT_EXT_ARG (1U << 8)

/* IORING_OFF_* */
#define URING_OFF_RINGS 0L
#define URING_OFF_SQES 0x10000000L

/* IORING_ENTER_*, IORING_SQ_*, IORING_CQ_* */
#define URING_ENTER_GETEVENTS (1U << 0)
#define URING_ENTER_EXT_ARG (1U << 3)
#define URING_ENTER_REGISTERED_RING (1U << 4)
#define URING_SQ_CQ_OVERFLOW (1U << 1)
#define URING_SQ_TASKRUN (1U << 2)
#define URING_CQ_EVENTFD_DISABLED (1U << 0)

/* IORING_REGISTER_* */
#define URING_REGISTER_EVENTFD 4
#define URING_REGISTER_PROBE 8
#define URING_REGISTER_RESTRICTIONS 11
#define URING_REGISTER_ENABLE_RINGS 12
#define URING_REGISTER_FILES2 13
#define URING_REGISTER_FILES_UPDATE2 14
#define URING_REGISTER_BUFFERS2 15
#define URING_REGISTER_BUFFERS_UPDATE 16
#define URING_REGISTER_RING_FDS 20
#define URING_REGISTER_SYNC_CANCEL 24
#define URING_RESOURCES_SPARSE (1U << 0)
#define URING_RESTRICTION_REGISTER_OP 0
#define URING_RESTRICTION_SQE_OP 1
#define URING_RESTRICTION_SQE_FLAGS_ALLOWED 2

/* IOSQE_* */
#define URING_SQE_FIXED_FILE (1U << 0)
#define URING_SQE_LINK (1U << 2)

#define URING_ASYNC_CANCEL_ANY (1U << 2)
#define URING_FSYNC_DATASYNC (1U << 0)
#define URING_OP_SUPPORTED (1U << 0)

/* IORING_OP_* */
enum uring_op {
  URING_OP_NOP = 0,
  URING_OP_READV = 1,
  URING_OP_WRITEV = 2,
  URING_OP_FSYNC = 3,
  URING_OP_READ_FIXED = 4,
  URING_OP_WRITE_FIXED = 5,
  URING_OP_ASYNC_CANCEL = 14,
  URING_OP_LINK_TIMEOUT = 15,
  URING_OP_FALLOCATE = 17,
  URING_OP_OPENAT = 18,
  URING_OP_CLOSE = 19,
  URING_OP_STATX = 21,
  URING_OP_READ = 22,
  URING_OP_WRITE = 23,
  URING_OP_RENAMEAT = 35,
  URING_OP_UNLINKAT = 36,
  URING_OP_LINKAT = 39,
  URING_OP_FTRUNCATE = 55
};

#endif
