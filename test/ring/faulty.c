/*
 * A file system of one file that refuses, or falls short of, the reads, writes, syncs and closes
 * that it is told to.
 *
 *   faulty DIRECTORY
 *
 * DIRECTORY/file is kept in memory. FOPEN_DIRECT_IO: what is asked of it is what was asked of the
 * kernel. Lines on stdin, each answered with a line:
 *
 *   begin                             nothing was asked, nothing is to fail: "ok"
 *   answer r|w|s|c FIRST LAST ERRNO   so do the FIRST-th to LAST-th read, write, sync, close: "ok"
 *   move r|w FIRST LAST BYTES         they move no more than so many bytes: "ok"
 *   asked                             a letter for each of them since, but for closes that
 *                                     nothing was to become of: "=wws"
 *
 * Source: linux/fuse.h
 */
#define _GNU_SOURCE
#include <sys/stat.h>

#include "fuse.h"

enum { node_file = 2, size_max = 32 << 20, faults_max = 16, asked_max = 4096 };

struct fault {
  char kind;
  unsigned first, last;
  int error; /* 0: moves `bytes` */
  uint32_t bytes;
};

static char content[size_max];
static uint64_t size;
static struct fault faults[faults_max];
static int fault_count;
static char asked_of[asked_max + 1];
static unsigned asked_count;

static int add_fault(const char *line) {
  struct fault *fault = &faults[fault_count];
  char word[8];
  int number;
  if (fault_count == faults_max) return 0;
  if (sscanf(line, "%7s %c %u %u %d", word, &fault->kind, &fault->first, &fault->last, &number) !=
      5) {
    return 0;
  }
  int moves = strcmp(word, "move") == 0;
  fault->error = moves ? 0 : number;
  fault->bytes = moves ? (uint32_t)number : UINT32_MAX;
  fault_count++;
  return 1;
}

static void obey(const char *line) {
  asked_of[asked_count] = '\0';
  if (strcmp(line, "asked") == 0) {
    printf("=%s\n", asked_of);
  } else if (strcmp(line, "begin") == 0) {
    fault_count = 0;
    asked_count = 0;
    puts("ok");
  } else {
    puts(add_fault(line) ? "ok" : "it is not understood");
  }
  fflush(stdout);
}

/* One line at a time: whoever says one waits for the answer. */
static int hear(void) {
  static char line[256];
  static size_t length;
  ssize_t got = read(STDIN_FILENO, line + length, sizeof line - 1 - length);
  if (got <= 0) return 0;
  length += (size_t)got;
  if (line[length - 1] != '\n') return length < sizeof line - 1;
  line[length - 1] = '\0';
  length = 0;
  obey(line);
  return 1;
}

/* Takes note of one of a kind, and answers what is to become of it. */
static struct fault fault_of(char kind) {
  struct fault none = {.bytes = UINT32_MAX};
  unsigned nth = 1;
  for (unsigned index = 0; index < asked_count; index++) nth += asked_of[index] == kind;
  int is_of_interest = kind != 'c';
  for (int index = 0; index < fault_count; index++) is_of_interest |= faults[index].kind == kind;
  if (is_of_interest && asked_count < asked_max) asked_of[asked_count++] = kind;
  for (int index = 0; index < fault_count; index++) {
    const struct fault *fault = &faults[index];
    if (fault->kind == kind && nth >= fault->first && nth <= fault->last) return *fault;
  }
  return none;
}

static struct fuse_attr attributes(uint64_t node) {
  struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096};
  attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600;
  if (node == node_file) attr.size = size;
  return attr;
}

static void do_lookup(const struct fuse_in_header *in, const char *name) {
  if (strcmp(name, "file") != 0) {
    answer(in, -ENOENT, NULL, 0);
    return;
  }
  struct fuse_entry_out out = {.nodeid = node_file, .attr = attributes(node_file)};
  answer(in, 0, &out, sizeof out);
}

static void do_attributes(const struct fuse_in_header *in, const struct fuse_setattr_in *asked) {
  if (in->opcode == FUSE_SETATTR && asked->valid & FATTR_SIZE) size = asked->size;
  struct fuse_attr_out out = {.attr = attributes(in->nodeid)};
  answer(in, 0, &out, sizeof out);
}

static uint32_t smaller(uint32_t one, uint32_t two) { return one < two ? one : two; }

static void do_read(const struct fuse_in_header *in, const struct fuse_read_in *asked) {
  struct fault fault = fault_of('r');
  uint64_t left = asked->offset < size ? size - asked->offset : 0;
  uint32_t length = smaller(asked->size, left > size_max ? size_max : (uint32_t)left);
  if (fault.error != 0) answer(in, -fault.error, NULL, 0);
  else answer(in, 0, content + (left == 0 ? 0 : asked->offset), smaller(length, fault.bytes));
}

static void do_write(const struct fuse_in_header *in, const struct fuse_write_in *asked) {
  struct fault fault = fault_of('w');
  struct fuse_write_out out = {.size = smaller(asked->size, fault.bytes)};
  if (fault.error == 0 && asked->offset + asked->size > size_max) fault.error = ENOSPC;
  if (fault.error != 0) {
    answer(in, -fault.error, NULL, 0);
    return;
  }
  memcpy(content + asked->offset, asked + 1, out.size);
  if (asked->offset + out.size > size) size = asked->offset + out.size;
  answer(in, 0, &out, sizeof out);
}

static void serve(const struct fuse_in_header *in) {
  const void *body = in + 1;
  struct fuse_open_out opened = {.open_flags = FOPEN_DIRECT_IO};
  struct fuse_statfs_out volume = {.st = {.bsize = 4096, .namelen = 255}};
  switch (in->opcode) {
    case FUSE_INIT: do_init(in, body); break;
    case FUSE_LOOKUP: do_lookup(in, body); break;
    case FUSE_SETATTR:
    case FUSE_GETATTR: do_attributes(in, body); break;
    case FUSE_OPEN: answer(in, 0, &opened, sizeof opened); break;
    case FUSE_READ: do_read(in, body); break;
    case FUSE_WRITE: do_write(in, body); break;
    case FUSE_STATFS: answer(in, 0, &volume, sizeof volume); break;
    case FUSE_FSYNC: answer(in, -fault_of('s').error, NULL, 0); break;
    case FUSE_FLUSH: answer(in, -fault_of('c').error, NULL, 0); break;
    case FUSE_RELEASE:
    case FUSE_DESTROY: answer(in, 0, NULL, 0); break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: break;
    default: answer(in, -ENOSYS, NULL, 0);
  }
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: faulty DIRECTORY\n");
    return 2;
  }
  mount_fuse("holdfast-faulty", argv[1]);
  serve_all(argv[1]);
  return 0;
}
