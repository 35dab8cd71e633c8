/* Handles: opened by name, opened again, made descriptors of, closed. */
#include "nt.h"

#include <ntstatus.h>
#include <stdlib.h>

#include "../syscalls.h"

/* What libuv has for open(2) on Windows (uv/win.h), and what only we have; src/platform/linux.ts
 * has the same numbers. */
#define O_WRITE_ONLY 1
#define O_READ_WRITE 2
#define O_APPENDS 8
#define O_CREATE 0x100
#define O_TRUNCATE 0x200
#define O_EXCLUSIVE 0x400
#define O_DIRECT_IO 0x02000000
#define O_OF_DIRECTORY 0x00100000
#define O_NOT_FOLLOWED 0x00200000

#define REQUEST_FS 6 /* UV_FS of enum uv_req_type */

/* What CreateFileW adds: to wait, and to look at what was opened. */
#define ALWAYS (SYNCHRONIZE | FILE_READ_ATTRIBUTES)
#define ALWAYS_OPTIONS (FILE_SYNCHRONOUS_IO_NONALERT | FILE_OPEN_FOR_BACKUP_INTENT)

static int64_t create(const OBJECT_ATTRIBUTES *attributes, const struct nt_way *way, HANDLE *out) {
  IO_STATUS_BLOCK done;
  NTSTATUS status = NtCreateFile(out, way->access | ALWAYS, (OBJECT_ATTRIBUTES *)attributes, &done,
                                 NULL, way->attributes, NT_SHARE_ALL, way->disposition,
                                 way->options | ALWAYS_OPTIONS, NULL, 0);
  return NT_SUCCESS(status) ? 0 : nt_refusal(status);
}

int64_t nt_open(const struct nt_name *name, const struct nt_way *way, HANDLE *out) {
  return create(&name->attributes, way, out);
}

int64_t nt_reach(int directory, const char *path, ACCESS_MASK access, ULONG options, HANDLE *out) {
  struct nt_name name;
  int64_t refused = nt_name(&name, directory, path);
  if (refused < 0) return refused;
  struct nt_way way = {access, options, FILE_OPEN, 0};
  refused = nt_open(&name, &way, out);
  nt_forget(&name);
  return refused;
}

int64_t nt_reopen(HANDLE handle, ACCESS_MASK access, HANDLE *out) {
  UNICODE_STRING nothing = {0};
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, &nothing, 0, handle, NULL);
  struct nt_way way = {access, 0, FILE_OPEN, 0};
  return create(&attributes, &way, out);
}

ULONG nt_link_tag(HANDLE handle) {
  ULONG told[2]; /* FILE_ATTRIBUTE_TAG_INFORMATION */
  if (!NT_SUCCESS(nt_ask(handle, told, sizeof told, NT_ATTRIBUTE_TAG))) return 0;
  if (!(told[0] & FILE_ATTRIBUTE_REPARSE_POINT)) return 0;
  int leads = told[1] == IO_REPARSE_TAG_SYMLINK || told[1] == IO_REPARSE_TAG_MOUNT_POINT;
  return leads ? told[1] : 0;
}

static ULONG disposition_of(int flags) {
  int creates = flags & O_CREATE;
  if (creates && (flags & O_EXCLUSIVE)) return FILE_CREATE;
  if (flags & O_TRUNCATE) return creates ? FILE_OVERWRITE_IF : FILE_OVERWRITE;
  return creates ? FILE_OPEN_IF : FILE_OPEN;
}

/* Without FILE_WRITE_DATA a write goes to the end, wherever that is by then. */
static ACCESS_MASK access_of(int flags) {
  ACCESS_MASK writes = FILE_GENERIC_WRITE;
  if (flags & O_APPENDS) writes &= ~(ACCESS_MASK)FILE_WRITE_DATA;
  if (flags & O_READ_WRITE) return FILE_GENERIC_READ | writes;
  return flags & O_WRITE_ONLY ? writes : FILE_GENERIC_READ;
}

static struct nt_way way_of(int flags, int mode) {
  int writes = flags & (O_WRITE_ONLY | O_READ_WRITE);
  struct nt_way way = {access_of(flags), 0, disposition_of(flags), FILE_ATTRIBUTE_NORMAL};
  if ((flags & O_CREATE) && !(mode & 0200)) way.attributes = FILE_ATTRIBUTE_READONLY;
  if (flags & O_OF_DIRECTORY) way.options |= FILE_DIRECTORY_FILE;
  else if (writes) way.options |= FILE_NON_DIRECTORY_FILE;
  /* What is to be new is not made where a link leads. */
  if (flags & (O_NOT_FOLLOWED | O_EXCLUSIVE)) way.options |= FILE_OPEN_REPARSE_POINT;
  if (flags & O_DIRECT_IO) way.options |= FILE_NO_INTERMEDIATE_BUFFERING;
  return way;
}

/*
 * Rights that are asked for beside, and done without where they are refused: to sync a directory
 * takes the right to make files in it (FlushFileBuffers), to lock what is appended to the right to
 * read it (LockFileEx).
 */
static ACCESS_MASK wished(int flags) {
  if (flags & O_OF_DIRECTORY) return FILE_ADD_FILE | FILE_TRAVERSE;
  return flags & O_APPENDS ? FILE_READ_DATA : 0;
}

/* The number that the program's own calls know it by; the handle is closed where there is none. */
static int64_t descriptor_of(HANDLE handle) {
  int fd = host.descriptor_of(handle);
  if (fd < 0) {
    CloseHandle(handle);
    return -EMFILE;
  }
  directories_forget(fd);
  locks_forget(fd);
  return fd;
}

int64_t sys_open(int directory, const char *path, int flags, int mode) {
  struct nt_name name;
  HANDLE handle;
  int64_t refused = nt_name(&name, directory, path);
  if (refused < 0) return refused;
  struct nt_way way = way_of(flags, mode);
  ACCESS_MASK least = way.access;
  way.access |= wished(flags);
  refused = nt_open(&name, &way, &handle);
  if (refused == -EPERM && way.access != least) {
    way.access = least;
    refused = nt_open(&name, &way, &handle);
  }
  nt_forget(&name);
  if (refused < 0) return refused;
  if ((flags & O_NOT_FOLLOWED) && nt_link_tag(handle) != 0) {
    CloseHandle(handle);
    return -ELOOP;
  }
  return descriptor_of(handle);
}

int64_t sys_open_beneath(int directory, const char *path, int flags, int mode, uint64_t resolve) {
  (void)directory, (void)path, (void)flags, (void)mode, (void)resolve;
  return -ENOSYS;
}

/* Through libuv: the number is its C runtime's to give out again. */
int64_t sys_close(int fd) {
  uint64_t request[128];
  if (host.request_bytes(REQUEST_FS) > sizeof request) return -ENOSYS;
  directories_forget(fd);
  locks_forget(fd);
  int64_t answer = host.close(NULL, request, fd, NULL);
  host.forget_request(request);
  return answer < 0 ? answer : 0;
}

int64_t sys_duplicate(int fd) {
  HANDLE own = GetCurrentProcess();
  HANDLE handle;
  if (!DuplicateHandle(own, nt_handle(fd), own, &handle, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
    return nt_last_refusal();
  }
  return descriptor_of(handle);
}

int64_t sys_get_status_flags(int fd) {
  HANDLE handle = nt_handle(fd);
  ACCESS_MASK access;
  ULONG mode;
  NTSTATUS status = nt_ask(handle, &access, sizeof access, NT_ACCESS);
  if (NT_SUCCESS(status)) status = nt_ask(handle, &mode, sizeof mode, NT_MODE);
  if (!NT_SUCCESS(status)) return nt_refusal(status);
  int writes = (access & (FILE_WRITE_DATA | FILE_APPEND_DATA)) != 0;
  int flags = !writes ? 0 : access & FILE_READ_DATA ? O_READ_WRITE : O_WRITE_ONLY;
  if (writes && !(access & FILE_WRITE_DATA)) flags |= O_APPENDS;
  return mode & FILE_NO_INTERMEDIATE_BUFFERING ? flags | O_DIRECT_IO : flags;
}

/* Windows decides at the open. */
int64_t sys_set_status_flags(int fd, int flags) {
  (void)fd, (void)flags;
  return -ENOSYS;
}
