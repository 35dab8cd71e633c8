/* `struct iovec`: a view of memory, as readv(2) takes it. Windows has none. */
#ifndef HOLDFAST_VIEWS_H
#define HOLDFAST_VIEWS_H

#ifdef _WIN32
#include <stddef.h>

struct iovec {
  void *iov_base;
  size_t iov_len;
};
#else
#include <sys/uio.h>
#endif

#endif
