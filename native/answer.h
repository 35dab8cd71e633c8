/* How a system call of Unix answers: its result or -errno, asked again after EINTR. */
#ifndef HOLDFAST_ANSWER_H
#define HOLDFAST_ANSWER_H

#include <errno.h>
#include <stdint.h>

#define RETRIED(result, call)     \
  do {                            \
    (result) = (int64_t)(call);   \
  } while ((result) < 0 && errno == EINTR)

#define ANSWER(call)                       \
  do {                                     \
    int64_t answer_;                       \
    RETRIED(answer_, call);                \
    return answer_ < 0 ? -errno : answer_; \
  } while (0)

#endif
