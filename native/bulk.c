#include "bulk.h"

#include <errno.h>
#include <string.h>

#include "layouts.h"

#define SET_BYTES 20U /* attribute_set_t: common attributes first, then four other groups */

struct attribute_reference {
  int32_t offset; /* from where this stands */
  uint32_t length;
};

/* enum vtype of sys/vnode.h: none, file, directory, block device, character device, link, socket,
 * FIFO. */
static const uint8_t types[] = {
    ENTRY_UNKNOWN,          ENTRY_FILE, ENTRY_DIRECTORY, ENTRY_BLOCK_DEVICE,
    ENTRY_CHARACTER_DEVICE, ENTRY_LINK, ENTRY_SOCKET,    ENTRY_FIFO,
};

/* Attributes stand in the order of their bits; what was not to be had is left out. */
struct reader {
  const char *entry;
  size_t length;
  size_t at;
  uint32_t returned;
};

static int take(struct reader *reader, uint32_t attribute, void *value, size_t bytes) {
  if (!(reader->returned & attribute)) return 1;
  if (reader->at + bytes > reader->length) return 0;
  memcpy(value, reader->entry + reader->at, bytes);
  reader->at += bytes;
  return 1;
}

struct entry {
  uint64_t inode;
  uint32_t type;
  const char *name;
  size_t name_bytes;
};

/* The error of an entry that could not be looked at stands before its name: the type is unknown. */
static int read_entry(const char *memory, size_t length, struct entry *entry) {
  struct reader reader = {.entry = memory, .length = length, .at = 4, .returned = UINT32_MAX};
  struct attribute_reference name = {0};
  uint32_t set[SET_BYTES / 4];
  uint32_t error = 0;
  *entry = (struct entry){0};
  if (!take(&reader, BULK_RETURNED, set, SET_BYTES)) return 0;
  reader.returned = set[0];
  if (!take(&reader, BULK_ERROR, &error, sizeof error)) return 0;
  size_t named_from = reader.at;
  if (!take(&reader, BULK_NAME, &name, sizeof name)) return 0;
  if (!take(&reader, BULK_OBJECT_TYPE, &entry->type, sizeof entry->type)) return 0;
  if (!take(&reader, BULK_FILE_ID, &entry->inode, sizeof entry->inode)) return 0;
  if (name.length == 0 || name.offset < (int32_t)sizeof name) return 0;
  size_t first = named_from + (size_t)name.offset;
  if (first + name.length > length || memory[first + name.length - 1] != '\0') return 0;
  entry->name = memory + first;
  entry->name_bytes = strlen(entry->name);
  return 1;
}

int64_t bulk_to_entries(void *memory, size_t capacity, int count) {
  const char *from = memory;
  char *to = memory;
  size_t left = capacity;
  for (int index = 0; index < count; index++) {
    uint32_t length;
    struct entry entry;
    if (left < sizeof length) return -EIO;
    memcpy(&length, from, sizeof length);
    if (length > left || !read_entry(from, length, &entry)) return -EIO;
    /* What is written must not reach what is yet to be read. */
    if (to + layout_entry_bytes(entry.name_bytes) > from + length) return -EIO;
    enum entry_type type = entry.type < sizeof types ? types[entry.type] : ENTRY_UNKNOWN;
    layout_entry(to, entry.inode, type, entry.name, entry.name_bytes);
    to += layout_entry_bytes(entry.name_bytes);
    from += length;
    left -= length;
  }
  return to - (char *)memory;
}
