/* What is asked of Windows, and how its answers become those of syscalls.h. */
#ifndef HOLDFAST_WINDOWS_NT_H
#define HOLDFAST_WINDOWS_NT_H

#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <winternl.h>
#include <stdint.h>

#include "errno.h"

/* The functions of the program that loads the addon: host.c. */
struct host {
  HANDLE (*handle_of)(int fd);        /* uv_get_osfhandle */
  int (*descriptor_of)(HANDLE handle); /* uv_open_osfhandle */
  int (*close)(void *loop, void *request, int fd, void *done); /* uv_fs_close */
  void (*forget_request)(void *request); /* uv_fs_req_cleanup */
  int (*errno_of)(int error);         /* uv_translate_sys_error */
  size_t (*request_bytes)(int type);  /* uv_req_size */
};

extern struct host host;

/* -errno for what Windows says. */
int64_t nt_refusal(NTSTATUS status);
int64_t nt_refusal_of(DWORD error);
int64_t nt_last_refusal(void);

/* The handle behind a descriptor; INVALID_HANDLE_VALUE when it is none. */
HANDLE nt_handle(int fd);

/* A name as NtCreateFile() takes it, seen from a directory or from nowhere. */
struct nt_name {
  UNICODE_STRING text;
  OBJECT_ATTRIBUTES attributes;
  WCHAR *memory;
};

/* 0, or -errno with nothing to be forgotten. */
int64_t nt_name(struct nt_name *name, int directory, const char *path);
void nt_forget(struct nt_name *name);

/* The text of a name as Win32 takes it: `\\?\C:\...`, ending in NUL; NULL if there is no memory,
 * or no such name. To be given to free(). */
WCHAR *nt_path(int directory, const char *path);

/* UTF-8, with lone surrogates as they are (WTF-8), as wide text with backslashes: its units, as
 * many as bytes at most, and a NUL; -1 where it is none. */
int nt_widen(const char *text, WCHAR *out);

/* Wide text as UTF-8, with lone surrogates as they are (WTF-8): its bytes, or -1 where they have no
 * room. */
int nt_narrow(const WCHAR *text, size_t units, char *out, size_t capacity);

/* How a name is opened. */
struct nt_way {
  ACCESS_MASK access;
  ULONG options;
  ULONG disposition;
  ULONG attributes;
};

/* A handle by which the thread waits for what it asks; 0 or -errno. */
int64_t nt_open(const struct nt_name *name, const struct nt_way *way, HANDLE *out);

/* Opens what is there for a look or a change, in one call. */
int64_t nt_reach(int directory, const char *path, ACCESS_MASK access, ULONG options, HANDLE *out);

/* The same file with other rights; 0 or -errno. */
int64_t nt_reopen(HANDLE handle, ACCESS_MASK access, HANDLE *out);

NTSTATUS nt_set(HANDLE handle, const void *what, size_t bytes, int class);
NTSTATUS nt_ask(HANDLE handle, void *out, size_t bytes, int class);

/* The reparse tag where the name leads elsewhere (a symbolic link, a junction), else 0. */
ULONG nt_link_tag(HANDLE handle);

/* Of directories: the next read of entries begins anew. */
void directories_rewind(int fd);

/* Of a descriptor that is about to be closed, or was just opened. */
void locks_forget(int fd);
void directories_forget(int fd);

/* Classes of NtSetInformationFile() and NtQueryInformationFile() (wdm.h, ntifs.h). */
enum {
  NT_BASIC = 4,
  NT_STANDARD = 5,
  NT_INTERNAL = 6,
  NT_ACCESS = 8,
  NT_RENAME = 10,
  NT_LINK = 11,
  NT_DISPOSITION = 13,
  NT_POSITION = 14,
  NT_MODE = 16,
  NT_ALLOCATION = 19,
  NT_END_OF_FILE = 20,
  NT_ATTRIBUTE_TAG = 35,
  NT_DISPOSITION_EX = 64,
  NT_RENAME_EX = 65,
};

#define NT_SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

struct nt_basic {
  LARGE_INTEGER created, accessed, written, changed;
  ULONG attributes;
};

struct nt_standard {
  LARGE_INTEGER allocated, end;
  ULONG links;
  BOOLEAN goes, is_directory;
};

#endif
