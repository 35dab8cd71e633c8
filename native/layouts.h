/*
 * The layouts that Linux' calls answer in, for systems whose calls answer in others: TypeScript
 * decodes one (src/platform/linux.ts). Pure.
 *
 * Source: statx(2), getdents64(2), makedev(3)
 */
#ifndef HOLDFAST_LAYOUTS_H
#define HOLDFAST_LAYOUTS_H

#include <stddef.h>
#include <stdint.h>

#define STATX_BYTES 256U

struct moment {
  int64_t seconds;
  uint32_t nanoseconds;
};

/* What a file is. `device` is the number that stat(2) tells, and node:fs with it. */
struct told_stat {
  uint32_t mode, links, user, group, block_bytes;
  uint64_t inode, size, blocks, device; /* blocks of 512 bytes */
  struct moment accessed, modified, changed, created;
  int has_created;
};

/* Writes a struct statx of STATX_BYTES. */
void layout_stat(void *out, const struct told_stat *told);

/* Types of a directory's entries, as readdir(3) has them. */
enum entry_type {
  ENTRY_UNKNOWN = 0,
  ENTRY_FIFO = 1,
  ENTRY_CHARACTER_DEVICE = 2,
  ENTRY_DIRECTORY = 4,
  ENTRY_BLOCK_DEVICE = 6,
  ENTRY_FILE = 8,
  ENTRY_LINK = 10,
  ENTRY_SOCKET = 12
};

/* Bytes that a struct linux_dirent64 takes with such a name: whole multiples of 8. */
size_t layout_entry_bytes(size_t name_bytes);

/*
 * Writes one; `out` has room for layout_entry_bytes(), and may overlap the name if it does not
 * begin behind it.
 */
void layout_entry(void *out, uint64_t inode, enum entry_type type, const char *name,
                  size_t name_bytes);

#endif
