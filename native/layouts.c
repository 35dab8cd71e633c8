#include "layouts.h"

#include <string.h>

#define STATX_BASIC 0x7ffU
#define STATX_BTIME 0x800U
#define NAME_AT 19U

static void put(void *out, size_t at, const void *value, size_t bytes) {
  memcpy((char *)out + at, value, bytes);
}

static void put16(void *out, size_t at, uint32_t value) {
  uint16_t narrow = (uint16_t)value;
  put(out, at, &narrow, sizeof narrow);
}

static void put32(void *out, size_t at, uint32_t value) { put(out, at, &value, sizeof value); }

static void put64(void *out, size_t at, uint64_t value) { put(out, at, &value, sizeof value); }

static void put_moment(void *out, size_t at, struct moment moment) {
  put64(out, at, (uint64_t)moment.seconds);
  put32(out, at + 8, moment.nanoseconds);
}

/* As gnu_dev_major(3) and gnu_dev_minor(3) take a number apart: put together it is the same. */
static uint32_t major_of(uint64_t device) {
  return (uint32_t)((device >> 8) & 0xfffU) | (uint32_t)((device >> 32) & 0xfffff000U);
}

static uint32_t minor_of(uint64_t device) {
  return (uint32_t)(device & 0xffU) | (uint32_t)((device >> 12) & 0xffffff00U);
}

void layout_stat(void *out, const struct told_stat *told) {
  memset(out, 0, STATX_BYTES);
  put32(out, 0, told->has_created ? STATX_BASIC | STATX_BTIME : STATX_BASIC);
  put32(out, 4, told->block_bytes);
  put32(out, 16, told->links);
  put32(out, 20, told->user);
  put32(out, 24, told->group);
  put16(out, 28, told->mode);
  put64(out, 32, told->inode);
  put64(out, 40, told->size);
  put64(out, 48, told->blocks);
  put_moment(out, 64, told->accessed);
  if (told->has_created) put_moment(out, 80, told->created);
  put_moment(out, 96, told->changed);
  put_moment(out, 112, told->modified);
  put32(out, 136, major_of(told->device));
  put32(out, 140, minor_of(told->device));
}

size_t layout_entry_bytes(size_t name_bytes) {
  return (NAME_AT + name_bytes + 1 + 7) & ~(size_t)7;
}

void layout_entry(void *out, uint64_t inode, enum entry_type type, const char *name,
                  size_t name_bytes) {
  size_t bytes = layout_entry_bytes(name_bytes);
  char *entry = out;
  memmove(entry + NAME_AT, name, name_bytes);
  memset(entry + NAME_AT + name_bytes, 0, bytes - NAME_AT - name_bytes);
  put64(out, 0, inode);
  put64(out, 8, 0); /* d_off: nobody seeks in a directory */
  put16(out, 16, (uint32_t)bytes);
  entry[18] = (char)type;
}
