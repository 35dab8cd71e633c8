/* What Windows has no call for, or none of the same meaning: capabilities that are absent. */
#include "nt.h"

#include "../syscalls.h"

/* Owners are names of rights, not numbers. */
int64_t sys_set_owner(int fd, int user, int group) {
  (void)fd, (void)user, (void)group;
  return -ENOSYS;
}

int64_t sys_set_owner_at(int directory, const char *path, int user, int group) {
  (void)directory, (void)path, (void)user, (void)group;
  return -ENOSYS;
}

/* Streams beside a file are files, not attributes of it. */
int64_t sys_list_attributes(int directory, const char *path, void *out, size_t capacity) {
  (void)directory, (void)path, (void)out, (void)capacity;
  return -ENOSYS;
}

int64_t sys_list_attributes_of(int fd, void *out, size_t capacity) {
  (void)fd, (void)out, (void)capacity;
  return -ENOSYS;
}

int64_t sys_get_attribute(int directory, const char *path, const char *name, void *out,
                          size_t capacity) {
  (void)directory, (void)path, (void)name, (void)out, (void)capacity;
  return -ENOSYS;
}

int64_t sys_get_attribute_of(int fd, const char *name, void *out, size_t capacity) {
  (void)fd, (void)name, (void)out, (void)capacity;
  return -ENOSYS;
}

int64_t sys_set_attribute(int fd, const char *name, const void *value, size_t length) {
  (void)fd, (void)name, (void)value, (void)length;
  return -ENOSYS;
}

int64_t sys_advise(int fd, double offset, double length, int advice) {
  (void)fd, (void)offset, (void)length, (void)advice;
  return -ENOSYS;
}

int64_t sys_set_lifetime(int fd, uint64_t hint) {
  (void)fd, (void)hint;
  return -ENOSYS;
}

int64_t sys_start_writeback(int fd, double offset, double length, unsigned flags) {
  (void)fd, (void)offset, (void)length, (void)flags;
  return -ENOSYS;
}

/* FSCTL_DUPLICATE_EXTENTS_TO_FILE is of ReFS, and CopyFile2 of names. */
int64_t sys_clone(int fd, int source) {
  (void)fd, (void)source;
  return -ENOSYS;
}

int64_t sys_copy_range(int fd, int source, double offset, double length) {
  (void)fd, (void)source, (void)offset, (void)length;
  return -ENOSYS;
}
