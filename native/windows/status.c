/* What Windows says, as numbers of libuv: by its own table, so that both engines say the same. */
#include "nt.h"

#include <ntstatus.h>

struct host host;

int64_t nt_refusal_of(DWORD error) {
  /* libuv has EBUSY for both of them, which is said of locks elsewhere. */
  if (error == ERROR_LOCK_VIOLATION) return -EAGAIN;
  if (error == ERROR_DIRECTORY) return -ENOTDIR;
  if (error == ERROR_FILE_TOO_LARGE) return -EFBIG;
  int number = host.errno_of((int)error);
  return number < 0 ? number : -EIO;
}

int64_t nt_last_refusal(void) { return nt_refusal_of(GetLastError()); }

/* Those that Win32 tells less of than POSIX does. */
int64_t nt_refusal(NTSTATUS status) {
  switch ((DWORD)status) {
    case (DWORD)STATUS_NOT_A_DIRECTORY:
      return -ENOTDIR;
    case (DWORD)STATUS_FILE_IS_A_DIRECTORY:
      return -EISDIR;
    case (DWORD)STATUS_DIRECTORY_NOT_EMPTY:
      return -ENOTEMPTY;
    case (DWORD)STATUS_OBJECT_NAME_INVALID:
      return -ENOENT;
    case (DWORD)STATUS_DELETE_PENDING:
      return -EBUSY;
    case (DWORD)STATUS_NOT_IMPLEMENTED:
    case (DWORD)STATUS_INVALID_DEVICE_REQUEST:
      return -ENOTSUP;
    case (DWORD)STATUS_LOCK_NOT_GRANTED:
    case (DWORD)STATUS_FILE_LOCK_CONFLICT:
      return -EAGAIN;
    default:
      return nt_refusal_of(RtlNtStatusToDosError(status));
  }
}

HANDLE nt_handle(int fd) { return fd < 0 ? INVALID_HANDLE_VALUE : host.handle_of(fd); }

NTSTATUS nt_set(HANDLE handle, const void *what, size_t bytes, int class) {
  IO_STATUS_BLOCK done;
  return NtSetInformationFile(handle, &done, (void *)what, (ULONG)bytes,
                              (FILE_INFORMATION_CLASS)class);
}

NTSTATUS nt_ask(HANDLE handle, void *out, size_t bytes, int class) {
  IO_STATUS_BLOCK done;
  return NtQueryInformationFile(handle, &done, out, (ULONG)bytes, (FILE_INFORMATION_CLASS)class);
}
