/* What a file is and how long: stat, size, space, times, positions. */
#include "nt.h"

#include <ntstatus.h>

#include "../layouts.h"
#include "../syscalls.h"

#define EMPTY_PATH 0x1000 /* AT_EMPTY_PATH and AT_SYMLINK_NOFOLLOW, as Linux has them */
#define NOT_FOLLOWED 0x100
#define TICKS_TO_1970 116444736000000000 /* of 100 ns, since 1601 */
#define TICKS_A_SECOND 10000000
#define FS_VOLUME 1 /* FileFsVolumeInformation */

#define MODE_FILE 0100000
#define MODE_DIRECTORY 0040000
#define MODE_LINK 0120000
#define MODE_CHARACTER 0020000
#define MODE_FIFO 0010000

static struct moment moment_of(LARGE_INTEGER time) {
  int64_t since = time.QuadPart - TICKS_TO_1970;
  int64_t rest = since % TICKS_A_SECOND;
  if (rest < 0) rest += TICKS_A_SECOND;
  return (struct moment){(since - rest) / TICKS_A_SECOND, (uint32_t)(rest * 100)};
}

/* FILE_FS_VOLUME_INFORMATION; a label that has no room is no harm, the number stands before it. */
static uint64_t device_of(HANDLE handle) {
  IO_STATUS_BLOCK done;
  struct {
    LARGE_INTEGER created;
    ULONG serial, label_bytes;
    BOOLEAN has_objects;
    WCHAR label[64];
  } volume = {0};
  NtQueryVolumeInformationFile(handle, &done, &volume, sizeof volume, FS_VOLUME);
  return volume.serial;
}

/* Rights by the one attribute there is, for everybody: as libuv has it. */
static uint16_t mode_of(HANDLE handle, ULONG attributes, int is_followed) {
  uint16_t rights = attributes & FILE_ATTRIBUTE_READONLY ? 0444 : 0666;
  if (!is_followed && nt_link_tag(handle) != 0) return MODE_LINK | rights;
  return (attributes & FILE_ATTRIBUTE_DIRECTORY ? MODE_DIRECTORY : MODE_FILE) | rights;
}

static int64_t stat_disk(HANDLE handle, int is_followed, struct told_stat *told) {
  struct nt_basic basic;
  struct nt_standard standard;
  LARGE_INTEGER index;
  NTSTATUS status = nt_ask(handle, &basic, sizeof basic, NT_BASIC);
  if (NT_SUCCESS(status)) status = nt_ask(handle, &standard, sizeof standard, NT_STANDARD);
  if (NT_SUCCESS(status)) status = nt_ask(handle, &index, sizeof index, NT_INTERNAL);
  if (!NT_SUCCESS(status)) return nt_refusal(status);
  *told = (struct told_stat){
      .mode = mode_of(handle, basic.attributes, is_followed),
      .links = standard.links,
      .block_bytes = 4096,
      .inode = (uint64_t)index.QuadPart,
      .size = (uint64_t)standard.end.QuadPart,
      .blocks = (uint64_t)standard.allocated.QuadPart / 512,
      .device = device_of(handle),
      .accessed = moment_of(basic.accessed),
      .modified = moment_of(basic.written),
      .changed = moment_of(basic.changed),
      .created = moment_of(basic.created),
      .has_created = 1,
  };
  return 0;
}

static int64_t stat_handle(HANDLE handle, int is_followed, void *out) {
  struct told_stat told = {.links = 1};
  DWORD type = handle == INVALID_HANDLE_VALUE ? FILE_TYPE_UNKNOWN : GetFileType(handle);
  if (type == FILE_TYPE_UNKNOWN) return -EBADF;
  told.mode = type == FILE_TYPE_PIPE ? MODE_FIFO | 0666 : MODE_CHARACTER | 0666;
  int64_t refused = type == FILE_TYPE_DISK ? stat_disk(handle, is_followed, &told) : 0;
  if (refused == 0) layout_stat(out, &told);
  return refused;
}

int64_t sys_stat(int directory, const char *path, int flags, void *statx_out) {
  if (*path == 0 && (flags & EMPTY_PATH)) return stat_handle(nt_handle(directory), 1, statx_out);
  ULONG options = flags & NOT_FOLLOWED ? FILE_OPEN_REPARSE_POINT : 0;
  HANDLE handle;
  int64_t refused = nt_reach(directory, path, FILE_READ_ATTRIBUTES, options, &handle);
  if (refused < 0) return refused;
  refused = stat_handle(handle, !(flags & NOT_FOLLOWED), statx_out);
  CloseHandle(handle);
  return refused;
}

int64_t sys_file_size(int fd) {
  struct nt_standard standard;
  NTSTATUS status = nt_ask(nt_handle(fd), &standard, sizeof standard, NT_STANDARD);
  return NT_SUCCESS(status) ? standard.end.QuadPart : nt_refusal(status);
}

/* Of a file that is open for appending alone the size is set by another handle. */
static NTSTATUS set_size(HANDLE handle, LARGE_INTEGER size, int class) {
  HANDLE again;
  NTSTATUS status = nt_set(handle, &size, sizeof size, class);
  if (status == STATUS_ACCESS_DENIED && nt_reopen(handle, FILE_WRITE_DATA, &again) == 0) {
    status = nt_set(again, &size, sizeof size, class);
    CloseHandle(again);
  }
  return status;
}

int64_t sys_truncate(int fd, double length) {
  LARGE_INTEGER end = {.QuadPart = (int64_t)length};
  NTSTATUS status = set_size(nt_handle(fd), end, NT_END_OF_FILE);
  return NT_SUCCESS(status) ? 0 : nt_refusal(status);
}

/*
 * Mode 0 of fallocate(2) alone. What is reserved behind the end is given back with the last handle,
 * so there is no keeping the size; allocating less than there is would cut the file.
 */
int64_t sys_allocate(int fd, int mode, double offset, double length) {
  HANDLE handle = nt_handle(fd);
  struct nt_standard standard;
  LARGE_INTEGER end = {.QuadPart = (int64_t)(offset + length)};
  if (mode != 0) return -ENOTSUP;
  NTSTATUS status = nt_ask(handle, &standard, sizeof standard, NT_STANDARD);
  if (NT_SUCCESS(status) && end.QuadPart > standard.allocated.QuadPart) {
    status = set_size(handle, end, NT_ALLOCATION);
  }
  if (NT_SUCCESS(status) && end.QuadPart > standard.end.QuadPart) {
    status = set_size(handle, end, NT_END_OF_FILE);
  }
  return NT_SUCCESS(status) ? 0 : nt_refusal(status);
}

/* SEEK_DATA is 3, SEEK_HOLE 4: nobody tells of holes by positions. */
int64_t sys_seek(int fd, double offset, int whence) {
  HANDLE handle = nt_handle(fd);
  struct nt_standard standard;
  LARGE_INTEGER distance = {.QuadPart = (int64_t)offset}, position;
  if (whence > 2) return -ENOTSUP;
  NTSTATUS status = nt_ask(handle, &standard, sizeof standard, NT_STANDARD);
  if (!NT_SUCCESS(status)) return nt_refusal(status);
  if (standard.is_directory) {
    if (offset != 0 || whence != 0) return -ENOTSUP;
    directories_rewind(fd);
    return 0;
  }
  if (!SetFilePointerEx(handle, distance, &position, (DWORD)whence)) return nt_last_refusal();
  return position.QuadPart;
}

/* -1 leaves a time as it is. */
static int64_t set_basic(HANDLE handle, const struct nt_basic *basic) {
  HANDLE again;
  NTSTATUS status = nt_set(handle, basic, sizeof *basic, NT_BASIC);
  if (status == STATUS_ACCESS_DENIED && nt_reopen(handle, FILE_WRITE_ATTRIBUTES, &again) == 0) {
    status = nt_set(again, basic, sizeof *basic, NT_BASIC);
    CloseHandle(again);
  }
  return NT_SUCCESS(status) ? 0 : nt_refusal(status);
}

/* Of the rights there is one: whether anybody may write. 0 leaves what is not told as it is. */
int64_t sys_set_mode(int fd, int mode) {
  HANDLE handle = nt_handle(fd);
  struct nt_basic basic;
  NTSTATUS status = nt_ask(handle, &basic, sizeof basic, NT_BASIC);
  if (!NT_SUCCESS(status)) return nt_refusal(status);
  ULONG attributes = basic.attributes & ~(ULONG)(FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_NORMAL);
  if (!(mode & 0200)) attributes |= FILE_ATTRIBUTE_READONLY;
  struct nt_basic wanted = {.attributes = attributes == 0 ? FILE_ATTRIBUTE_NORMAL : attributes};
  return wanted.attributes == basic.attributes ? 0 : set_basic(handle, &wanted);
}

static LARGE_INTEGER ticks_of(const int64_t seconds_and_nanoseconds[2]) {
  int64_t ticks = seconds_and_nanoseconds[0] * TICKS_A_SECOND + seconds_and_nanoseconds[1] / 100;
  return (LARGE_INTEGER){.QuadPart = ticks + TICKS_TO_1970};
}

static int64_t set_times(HANDLE handle, const int64_t seconds_and_nanoseconds[4]) {
  struct nt_basic basic = {
      .accessed = ticks_of(seconds_and_nanoseconds),
      .written = ticks_of(seconds_and_nanoseconds + 2),
  };
  return set_basic(handle, &basic);
}

int64_t sys_set_times(int fd, const int64_t seconds_and_nanoseconds[4]) {
  return set_times(nt_handle(fd), seconds_and_nanoseconds);
}

/* Of a symbolic link itself. */
int64_t sys_set_times_at(int directory, const char *path,
                         const int64_t seconds_and_nanoseconds[4]) {
  HANDLE handle;
  int64_t refused =
      nt_reach(directory, path, FILE_WRITE_ATTRIBUTES, FILE_OPEN_REPARSE_POINT, &handle);
  if (refused < 0) return refused;
  refused = set_times(handle, seconds_and_nanoseconds);
  CloseHandle(handle);
  return refused;
}

/* No number tells where locks are kept; 0 is no file system of Linux. */
int64_t sys_volume_type(int fd) { return nt_handle(fd) == INVALID_HANDLE_VALUE ? -EBADF : 0; }

int sys_page_bytes(void) {
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  return (int)system.dwPageSize;
}

int sys_view_count_max(void) { return 1024; }
