/*
 * What getattrlistbulk(2) of macOS answers, turned into entries as getdents64(2) answers them, in
 * the same memory: an entry of the latter is never longer. Pure, so that it can be tried anywhere.
 *
 * Source: man 2 getattrlistbulk of macOS, EXAMPLES; sys/attr.h
 */
#ifndef HOLDFAST_BULK_H
#define HOLDFAST_BULK_H

#include <stddef.h>
#include <stdint.h>

/* What is asked for; sys/attr.h has the same bits, native/darwin.c holds them against it. */
#define BULK_NAME 0x00000001U
#define BULK_OBJECT_TYPE 0x00000008U
#define BULK_FILE_ID 0x02000000U
#define BULK_ERROR 0x20000000U
#define BULK_RETURNED 0x80000000U
#define BULK_WANTED (BULK_NAME | BULK_OBJECT_TYPE | BULK_FILE_ID | BULK_ERROR | BULK_RETURNED)

/* Bytes of entries that stand at the front of `memory` then; -EIO when it is not what it says. */
int64_t bulk_to_entries(void *memory, size_t capacity, int count);

#endif
