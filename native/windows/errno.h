/*
 * The numbers of refusals on Windows: those of libuv (uv/errno.h), which node:fs answers there, so
 * that src/platform/errno.ts names what comes from either side. In place of the C library's
 * <errno.h>: nothing here asks that for `errno`.
 */
#ifndef HOLDFAST_WINDOWS_ERRNO_H
#define HOLDFAST_WINDOWS_ERRNO_H

#define EACCES 4092
#define EAGAIN 4088
#define EBADF 4083
#define EBUSY 4082
#define ECANCELED 4081
#define EEXIST 4075
#define EFAULT 4074
#define EFBIG 4036
#define EINVAL 4071
#define EIO 4070
#define EISDIR 4068
#define ELOOP 4067
#define EMFILE 4066
#define ENAMETOOLONG 4064
#define ENOENT 4058
#define ENOMEM 4057
#define ENOSPC 4055
#define ENOSYS 4054
#define ENOTDIR 4052
#define ENOTEMPTY 4051
#define ENOTSUP 4049
#define EPERM 4048
#define EROFS 4043
#define ESPIPE 4041
#define ETIMEDOUT 4039
#define EXDEV 4037
#define ENXIO 4033
#define EILSEQ 4027

#endif
