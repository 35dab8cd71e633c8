#include "descriptors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"
#include "syscalls.h"

#define SIZE_MIN 1024U
#define SIZE_MAX_KEPT (1U << 20) /* fs.nr_open as it comes: proc_sys_fs(5) */

int descriptors_opens(uint8_t code) {
  return code == ROW_OPEN || code == ROW_OPEN_BENEATH || code == ROW_DUPLICATE;
}

/* Where there is no memory a descriptor is not remembered, and at worst stays open. */
static int has_room(struct descriptors *table, uint32_t fd) {
  uint32_t size = table->size == 0 ? SIZE_MIN : table->size;
  if (fd < table->size) return 1;
  if (fd >= SIZE_MAX_KEPT) return 0;
  while (size <= fd) size *= 2;
  uint16_t *counts = realloc(table->counts, size * sizeof *counts);
  if (counts == NULL) return 0;
  memset(counts + table->size, 0, (size - table->size) * sizeof *counts);
  table->counts = counts;
  table->size = size;
  return 1;
}

/* close(2): whatever else it says, the descriptor is gone. */
void descriptors_note(struct descriptors *table, uint8_t code, int32_t fd, int64_t result) {
  if (code == ROW_CLOSE) {
    int is_known = fd >= 0 && (uint32_t)fd < table->size && table->counts[fd] > 0;
    if (is_known && result != -ECANCELED) table->counts[fd]--;
  } else if (descriptors_opens(code) && result >= 0) {
    if (has_room(table, (uint32_t)result)) table->counts[result]++;
  } else if (code == ROW_MAP && result >= 0) {
    maps_adopt((int32_t)result, table);
  }
}

void descriptors_note_run(struct descriptors *table, const struct operation *operations,
                          uint32_t count, const int64_t *results) {
  int32_t opened = -1;
  for (uint32_t index = 0; index < count; index++) {
    const struct row *row = &operations[index].row;
    int32_t fd = row->fd == FD_OPENED_IN_RUN ? opened : row->fd;
    descriptors_note(table, row->code, fd, results[index]);
    if (row->code == ROW_OPEN || row->code == ROW_OPEN_BENEATH) opened = (int32_t)results[index];
  }
}

void descriptors_close(struct descriptors *table) {
  maps_forget_all(table);
  for (uint32_t fd = 0; fd < table->size; fd++) {
    if (table->counts[fd] > 0) sys_close((int)fd);
  }
  free(table->counts);
  table->counts = NULL;
  table->size = 0;
}
