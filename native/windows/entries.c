/* Names: given, taken away, changed, read. */
#include "nt.h"

#include <ntstatus.h>
#include <stdlib.h>
#include <string.h>
#include <winioctl.h>

#include "../layouts.h"
#include "../syscalls.h"

#define REMOVES_DIRECTORY 0x200 /* AT_REMOVEDIR */
#define LINK_FOLLOWED 0x400     /* AT_SYMLINK_FOLLOW */
#define NOT_REPLACED 1U         /* RENAME_NOREPLACE */
#define DESCRIPTOR_COUNT 8192   /* what the C runtime has at most (_setmaxstdio) */

/* Flags of FILE_RENAME_INFORMATION and FILE_DISPOSITION_INFORMATION_EX (ntifs.h). */
#define RENAME_REPLACES 0x1U
#define RENAME_AS_POSIX 0x2U
#define RENAME_OF_READ_ONLY 0x40U
#define DELETE_NAME 0x1U
#define DELETE_AS_POSIX 0x2U
#define DELETE_OF_READ_ONLY 0x10U

struct renaming {
  ULONG flags; /* a BOOLEAN in the old call */
  HANDLE root;
  ULONG bytes;
  WCHAR name[];
};

/* An old system or file system: it knows the call without flags. */
static int is_unknown(NTSTATUS status) {
  switch ((DWORD)status) {
    case (DWORD)STATUS_INVALID_INFO_CLASS:
    case (DWORD)STATUS_INVALID_PARAMETER:
    case (DWORD)STATUS_NOT_SUPPORTED:
    case (DWORD)STATUS_NOT_IMPLEMENTED:
    case (DWORD)STATUS_INVALID_DEVICE_REQUEST:
      return 1;
    default:
      return 0;
  }
}

/* Gives what `handle` is open on another name, or one more. */
static int64_t give_name(HANDLE handle, const struct nt_name *target, ULONG flags, int renames) {
  size_t bytes = sizeof(struct renaming) + target->text.Length;
  struct renaming *renaming = calloc(1, bytes + sizeof(WCHAR));
  if (renaming == NULL) return -ENOMEM;
  renaming->root = target->attributes.RootDirectory;
  renaming->bytes = target->text.Length;
  memcpy(renaming->name, target->text.Buffer, target->text.Length);
  renaming->flags = flags;
  NTSTATUS status = STATUS_NOT_SUPPORTED;
  if (renames) status = nt_set(handle, renaming, bytes, NT_RENAME_EX);
  if (is_unknown(status)) {
    renaming->flags = flags & RENAME_REPLACES;
    status = nt_set(handle, renaming, bytes, renames ? NT_RENAME : NT_LINK);
  }
  free(renaming);
  return NT_SUCCESS(status) ? 0 : nt_refusal(status);
}

int64_t sys_rename(int directory, const char *source, int target_directory, const char *target,
                   unsigned flags) {
  struct nt_name name;
  HANDLE handle;
  if (flags & ~NOT_REPLACED) return -ENOSYS;
  int64_t refused = nt_name(&name, target_directory, target);
  if (refused < 0) return refused;
  refused = nt_reach(directory, source, DELETE, FILE_OPEN_REPARSE_POINT, &handle);
  if (refused == 0) {
    ULONG how = RENAME_AS_POSIX | RENAME_OF_READ_ONLY;
    refused = give_name(handle, &name, flags & NOT_REPLACED ? how : how | RENAME_REPLACES, 1);
    CloseHandle(handle);
  }
  nt_forget(&name);
  return refused;
}

int64_t sys_link(int directory, const char *source, int target_directory, const char *target,
                 int flags) {
  struct nt_name name;
  HANDLE handle;
  if (*source == 0) return -ENOSYS;
  int64_t refused = nt_name(&name, target_directory, target);
  if (refused < 0) return refused;
  ULONG options = flags & LINK_FOLLOWED ? 0 : FILE_OPEN_REPARSE_POINT;
  refused = nt_reach(directory, source, FILE_WRITE_ATTRIBUTES, options, &handle);
  if (refused == 0) {
    refused = give_name(handle, &name, 0, 0);
    CloseHandle(handle);
  }
  nt_forget(&name);
  return refused;
}

/* Directories have a call of their own; a link to one is none. */
static int64_t check_unlink(HANDLE handle, ULONG attributes, int flags) {
  int is_directory = attributes & FILE_ATTRIBUTE_DIRECTORY && nt_link_tag(handle) == 0;
  if (flags & REMOVES_DIRECTORY) return is_directory ? 0 : -ENOTDIR;
  return is_directory ? -EISDIR : 0;
}

/* The name goes at once where the file system can; else with the last handle. */
static NTSTATUS take_name(HANDLE handle, ULONG attributes) {
  ULONG how = DELETE_NAME | DELETE_AS_POSIX | DELETE_OF_READ_ONLY;
  NTSTATUS status = nt_set(handle, &how, sizeof how, NT_DISPOSITION_EX);
  if (!is_unknown(status)) return status;
  if (attributes & FILE_ATTRIBUTE_READONLY) {
    struct nt_basic basic = {.attributes = attributes & ~(ULONG)FILE_ATTRIBUTE_READONLY};
    if (basic.attributes == 0) basic.attributes = FILE_ATTRIBUTE_NORMAL;
    nt_set(handle, &basic, sizeof basic, NT_BASIC);
  }
  BOOLEAN goes = TRUE;
  return nt_set(handle, &goes, sizeof goes, NT_DISPOSITION);
}

int64_t sys_unlink(int directory, const char *path, int flags) {
  HANDLE handle;
  ACCESS_MASK access = DELETE | FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES;
  int64_t refused = nt_reach(directory, path, access, FILE_OPEN_REPARSE_POINT, &handle);
  if (refused < 0) return refused;
  struct nt_basic basic;
  NTSTATUS status = nt_ask(handle, &basic, sizeof basic, NT_BASIC);
  refused = NT_SUCCESS(status) ? check_unlink(handle, basic.attributes, flags) : nt_refusal(status);
  if (refused == 0) {
    status = take_name(handle, basic.attributes);
    refused = NT_SUCCESS(status) ? 0 : nt_refusal(status);
  }
  CloseHandle(handle);
  return refused;
}

int64_t sys_make_directory(int directory, const char *path, int mode) {
  struct nt_name name;
  HANDLE handle;
  (void)mode;
  int64_t refused = nt_name(&name, directory, path);
  if (refused < 0) return refused;
  struct nt_way way = {FILE_LIST_DIRECTORY, FILE_DIRECTORY_FILE, FILE_CREATE,
                       FILE_ATTRIBUTE_NORMAL};
  refused = nt_open(&name, &way, &handle);
  nt_forget(&name);
  if (refused == 0) CloseHandle(handle);
  return refused;
}

/* ----------------------------------------------------------------------------------- links */

/* Whether what a link will lead to is a directory by now: Windows has two kinds of links. */
static int leads_to_directory(int directory, const char *path, const char *target) {
  size_t length = strlen(path), target_bytes = strlen(target);
  char *beside = malloc(length + target_bytes + 1);
  if (beside == NULL) return 0;
  while (length > 0 && path[length - 1] != '/' && path[length - 1] != '\\') length--;
  if (target[0] == '/' || target[0] == '\\' || (target[0] != 0 && target[1] == ':')) length = 0;
  memcpy(beside, path, length);
  memcpy(beside + length, target, target_bytes + 1);
  HANDLE handle;
  int64_t refused = nt_reach(directory, beside, FILE_READ_ATTRIBUTES, FILE_DIRECTORY_FILE, &handle);
  free(beside);
  if (refused == 0) CloseHandle(handle);
  return refused == 0;
}

#define UNPRIVILEGED 2U /* SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE */

int64_t sys_make_link(const char *target, int directory, const char *path) {
  DWORD flags = UNPRIVILEGED;
  size_t bytes = strlen(target);
  WCHAR *wide = malloc((bytes + 1) * sizeof *wide);
  WCHAR *name = nt_path(directory, path);
  int64_t answer = wide == NULL || name == NULL ? -ENOMEM : 0;
  if (answer == 0 && leads_to_directory(directory, path, target)) {
    flags |= SYMBOLIC_LINK_FLAG_DIRECTORY;
  }
  if (answer == 0) {
    int units = nt_widen(target, wide);
    if (units < 0) answer = -EILSEQ;
    else if (!CreateSymbolicLinkW(name, wide, flags)) answer = nt_last_refusal();
  }
  free(name);
  free(wide);
  return answer;
}

/* REPARSE_DATA_BUFFER (ntifs.h): places of names, in bytes, then what they count from. */
struct reparse {
  ULONG tag;
  USHORT bytes, spare;
  USHORT substitute_at, substitute_bytes, print_at, print_bytes;
  union {
    struct {
      ULONG flags;
      WCHAR names[1];
    } link;
    WCHAR mount_names[1];
  };
};

#define REPARSE_BYTES_MAX 16384

static int64_t target_of(const struct reparse *told, void *out, size_t capacity) {
  int is_link = told->tag == IO_REPARSE_TAG_SYMLINK;
  if (!is_link && told->tag != IO_REPARSE_TAG_MOUNT_POINT) return -EINVAL;
  const WCHAR *names = is_link ? told->link.names : told->mount_names;
  const WCHAR *name = names + told->substitute_at / sizeof(WCHAR);
  size_t units = told->substitute_bytes / sizeof(WCHAR);
  if ((const char *)(name + units) > (const char *)told + REPARSE_BYTES_MAX) return -EINVAL;
  /* `\??\C:\...` is `C:\...`. */
  if (units > 5 && memcmp(name, L"\\??\\", 4 * sizeof(WCHAR)) == 0 && name[5] == ':') {
    name += 4;
    units -= 4;
  }
  int length = nt_narrow(name, units, out, capacity);
  return length < 0 ? -ENAMETOOLONG : length;
}

int64_t sys_read_link(int directory, const char *path, void *out, size_t capacity) {
  HANDLE handle;
  IO_STATUS_BLOCK done;
  int64_t answer =
      nt_reach(directory, path, FILE_READ_ATTRIBUTES, FILE_OPEN_REPARSE_POINT, &handle);
  if (answer < 0) return answer;
  struct reparse *told = malloc(REPARSE_BYTES_MAX);
  answer = -ENOMEM;
  if (told != NULL) {
    NTSTATUS status = NtFsControlFile(handle, NULL, NULL, NULL, &done, FSCTL_GET_REPARSE_POINT,
                                      NULL, 0, told, REPARSE_BYTES_MAX);
    if (NT_SUCCESS(status)) answer = target_of(told, out, capacity);
    else if (status == STATUS_NOT_A_REPARSE_POINT) answer = -EINVAL;
    else answer = nt_refusal(status);
  }
  free(told);
  CloseHandle(handle);
  return answer;
}

/* --------------------------------------------------------------------------------- reading */

/* Directories have no position to be set: the next read of these begins anew. A bit each. */
static _Atomic uint64_t rewound[DESCRIPTOR_COUNT / 64];

static uint64_t bit_of(int fd) { return UINT64_C(1) << (unsigned)fd % 64; }

void directories_rewind(int fd) {
  if (fd >= 0 && fd < DESCRIPTOR_COUNT) rewound[fd / 64] |= bit_of(fd);
}

void directories_forget(int fd) {
  if (fd >= 0 && fd < DESCRIPTOR_COUNT) rewound[fd / 64] &= ~bit_of(fd);
}

static BOOLEAN takes_rewind(int fd) {
  if (fd < 0 || fd >= DESCRIPTOR_COUNT || !(rewound[fd / 64] & bit_of(fd))) return FALSE;
  directories_forget(fd);
  return TRUE;
}

/* FILE_FULL_DIR_INFORMATION */
struct told {
  ULONG next, index;
  LARGE_INTEGER created, accessed, written, changed, end, allocated;
  ULONG attributes, name_bytes, tag;
  WCHAR name[];
};

#define TOLD_NAME_AT 68
#define FULL_DIRECTORY 2 /* FileFullDirectoryInformation */

static enum entry_type type_of(const struct told *told) {
  ULONG leads = told->attributes & FILE_ATTRIBUTE_REPARSE_POINT ? told->tag : 0;
  if (leads == IO_REPARSE_TAG_SYMLINK || leads == IO_REPARSE_TAG_MOUNT_POINT) return ENTRY_LINK;
  return told->attributes & FILE_ATTRIBUTE_DIRECTORY ? ENTRY_DIRECTORY : ENTRY_FILE;
}

/* The name is made at the end of the room, and moved to its place. */
static size_t put_entry(const struct told *told, char *out, size_t capacity) {
  const WCHAR *name = (const WCHAR *)((const char *)told + TOLD_NAME_AT);
  size_t units = told->name_bytes / sizeof(WCHAR);
  size_t overhead = layout_entry_bytes(0);
  if (capacity < overhead) return 0;
  int length = nt_narrow(name, units, out + overhead, capacity - overhead);
  if (length < 0 || layout_entry_bytes((size_t)length) > capacity) return 0;
  layout_entry(out, 0, type_of(told), out + overhead, (size_t)length);
  return layout_entry_bytes((size_t)length);
}

NTSTATUS NTAPI NtQueryDirectoryFile(HANDLE, HANDLE, PVOID, PVOID, PIO_STATUS_BLOCK, PVOID, ULONG,
                                    int, BOOLEAN, UNICODE_STRING *, BOOLEAN);

/*
 * Of n units an entry is told in 68 + 2n bytes and takes 27 + 3n at most here: what fills two
 * thirds of the room fits in it, so that nothing that was told is lost.
 */
int64_t sys_read_entries(int fd, void *out, size_t capacity) {
  HANDLE handle = nt_handle(fd);
  IO_STATUS_BLOCK done;
  size_t room = capacity / 3 * 2 & ~(size_t)7;
  if (handle == INVALID_HANDLE_VALUE) return -EBADF;
  if (room < TOLD_NAME_AT + 2 * 256) return -EINVAL;
  char *memory = malloc(room);
  if (memory == NULL) return -ENOMEM;
  NTSTATUS status = NtQueryDirectoryFile(handle, NULL, NULL, NULL, &done, memory, (ULONG)room,
                                         FULL_DIRECTORY, FALSE, NULL, takes_rewind(fd));
  size_t length = 0;
  if (NT_SUCCESS(status) && done.Information > 0) {
    const struct told *told = (const struct told *)memory;
    for (;;) {
      length += put_entry(told, (char *)out + length, capacity - length);
      if (told->next == 0) break;
      told = (const struct told *)((const char *)told + told->next);
    }
  }
  free(memory);
  if (status == STATUS_NO_MORE_FILES || status == STATUS_NO_SUCH_FILE) return 0;
  return NT_SUCCESS(status) ? (int64_t)length : nt_refusal(status);
}
