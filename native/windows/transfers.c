/*
 * Bytes in and out, and what becomes durable. A file is open for one call at a time: the kernel
 * lets calls on one handle take turns, and a positioned one moves the position of the handle, which
 * nothing above this file reads (src/file/position.ts keeps its own).
 */
#include "nt.h"

#include <ntstatus.h>
#include <stdlib.h>
#include <string.h>

#include "../syscalls.h"

#define CALL_BYTES_MAX 0x7ffff000U /* what Linux moves at most, a multiple of every sector */
#define GATHERED_BYTES_MAX (1U << 20)
#define ALIGNMENT 4096U
#define AT_END (-1.0)

static OVERLAPPED place_of(double offset) {
  OVERLAPPED place = {0};
  /* "To write to the end of file, specify both the Offset and OffsetHigh members as 0xFFFFFFFF" */
  uint64_t at = offset < 0 ? UINT64_MAX : (uint64_t)offset;
  place.Offset = (DWORD)at;
  place.OffsetHigh = (DWORD)(at >> 32);
  return place;
}

static DWORD length_of(size_t length) {
  return length > CALL_BYTES_MAX ? CALL_BYTES_MAX : (DWORD)length;
}

/* A pipe would keep a thread until the other end comes. */
static int64_t check_kind(HANDLE handle) {
  if (handle == INVALID_HANDLE_VALUE) return -EBADF;
  return GetFileType(handle) == FILE_TYPE_DISK ? 0 : -ENOTSUP;
}

static int64_t read_at(HANDLE handle, void *data, size_t length, double offset) {
  OVERLAPPED place = place_of(offset);
  DWORD moved = 0;
  if (ReadFile(handle, data, length_of(length), &moved, &place)) return moved;
  return GetLastError() == ERROR_HANDLE_EOF ? 0 : nt_last_refusal();
}

static int64_t write_at(HANDLE handle, const void *data, size_t length, double offset) {
  OVERLAPPED place = place_of(offset);
  DWORD moved = 0;
  if (WriteFile(handle, data, length_of(length), &moved, &place)) return moved;
  return nt_last_refusal();
}

int64_t sys_read(int fd, void *data, size_t length, double offset) {
  HANDLE handle = nt_handle(fd);
  if (handle == INVALID_HANDLE_VALUE) return -EBADF;
  return offset < 0 ? -ENOTSUP : read_at(handle, data, length, offset);
}

/* Views one after the other: what comes after a short one, or a refusal, is asked for again. */
int64_t sys_readv(int fd, const struct iovec *views, int count, double offset) {
  int64_t total = 0;
  for (int index = 0; index < count; index++) {
    if (views[index].iov_len == 0) continue;
    int64_t moved = sys_read(fd, views[index].iov_base, views[index].iov_len,
                             offset < 0 ? offset : offset + (double)total);
    if (moved < 0) return total > 0 ? total : moved;
    total += moved;
    if ((size_t)moved < views[index].iov_len) break;
  }
  return total;
}

int64_t sys_write(int fd, const void *data, size_t length, double offset) {
  HANDLE handle = nt_handle(fd);
  int64_t refused = offset < 0 ? check_kind(handle) : handle == INVALID_HANDLE_VALUE ? -EBADF : 0;
  return refused < 0 ? refused : write_at(handle, data, length, offset);
}

static size_t total_of(const struct iovec *views, int count) {
  size_t total = 0;
  for (int index = 0; index < count; index++) total += views[index].iov_len;
  return total;
}

/* One write of all of them, from memory that also direct I/O takes. */
static int64_t write_gathered(int fd, const struct iovec *views, int count, size_t total,
                              double offset) {
  char *memory = malloc(total + ALIGNMENT);
  if (memory == NULL) return -ENOMEM;
  char *aligned = memory + (ALIGNMENT - (uintptr_t)memory % ALIGNMENT) % ALIGNMENT;
  char *end = aligned;
  for (int index = 0; index < count; index++) {
    if (views[index].iov_len == 0) continue;
    memcpy(end, views[index].iov_base, views[index].iov_len);
    end += views[index].iov_len;
  }
  int64_t moved = sys_write(fd, aligned, total, offset);
  free(memory);
  return moved;
}

/*
 * There is no gather for files but that of whole pages (WriteFileGather). Up to a megabyte goes out
 * as one write; of more each view is one, and an append is of what one write takes.
 */
int64_t sys_writev(int fd, const struct iovec *views, int count, double offset) {
  size_t left = total_of(views, count);
  if (count > 1 && left <= GATHERED_BYTES_MAX) {
    return write_gathered(fd, views, count, left, offset);
  }
  int64_t total = 0;
  for (int index = 0; index < count; index++) {
    if (views[index].iov_len == 0) continue;
    int64_t moved = sys_write(fd, views[index].iov_base, views[index].iov_len,
                              offset < 0 ? offset : offset + (double)total);
    if (moved < 0) return total > 0 ? total : moved;
    total += moved;
    if (offset < 0 || (size_t)moved < views[index].iov_len) break;
  }
  return total;
}

int64_t sys_append(int fd, const struct iovec *views, int count) {
  return sys_writev(fd, views, count, AT_END);
}

/* Nobody tells whether a read would wait. */
int64_t sys_read_now(int fd, const struct iovec *views, int count, double offset) {
  (void)fd, (void)views, (void)count, (void)offset;
  return -EAGAIN;
}

/* A sync needs a handle that may write: of one that may not, the file is opened again. */
static int64_t flush(HANDLE handle) {
  if (handle == INVALID_HANDLE_VALUE) return -EBADF;
  if (FlushFileBuffers(handle)) return 0;
  int64_t refused = nt_last_refusal();
  HANDLE again;
  if (refused != -EPERM || nt_reopen(handle, FILE_WRITE_DATA, &again) < 0) return refused;
  refused = FlushFileBuffers(again) ? 0 : nt_last_refusal();
  CloseHandle(again);
  return refused;
}

int64_t sys_sync(int fd) { return flush(nt_handle(fd)); }

typedef NTSTATUS(NTAPI *flush_call)(HANDLE, ULONG, PVOID, ULONG, PIO_STATUS_BLOCK);

#define FLUSH_DATA 4 /* FLUSH_FLAGS_FILE_DATA_SYNC_ONLY, Windows 10 */

/* Its refusals but for two are of the disk: a sync is not asked for again. */
int64_t sys_sync_data(int fd) {
  static _Atomic(flush_call) found;
  static _Atomic int was_sought;
  HANDLE handle = nt_handle(fd);
  if (!was_sought) {
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    found = (flush_call)(void *)GetProcAddress(ntdll, "NtFlushBuffersFileEx");
    was_sought = 1;
  }
  flush_call call = found;
  if (call == NULL || handle == INVALID_HANDLE_VALUE) return flush(handle);
  IO_STATUS_BLOCK done;
  NTSTATUS status = call(handle, FLUSH_DATA, NULL, 0, &done);
  if (NT_SUCCESS(status)) return 0;
  switch ((DWORD)status) {
    case (DWORD)STATUS_NOT_SUPPORTED:
    case (DWORD)STATUS_NOT_IMPLEMENTED:
    case (DWORD)STATUS_INVALID_PARAMETER:
    case (DWORD)STATUS_INVALID_DEVICE_REQUEST:
    case (DWORD)STATUS_ACCESS_DENIED:
      return flush(handle);
    default:
      return nt_refusal(status);
  }
}
