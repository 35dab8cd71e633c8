#define _GNU_SOURCE
#include "words.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

struct word {
  int linux_number;
  int ours;
};

/* Every bit has to have a word. */
static int bits_of(const struct word *words, size_t count, int flags) {
  int ours = 0;
  for (size_t index = 0; index < count; index++) {
    if (!(flags & words[index].linux_number)) continue;
    flags &= ~words[index].linux_number;
    ours |= words[index].ours;
  }
  return flags == 0 ? ours : -1;
}

#define BITS(words, flags) bits_of(words, sizeof(words) / sizeof(words)[0], flags)

int words_directory(int directory) { return directory == -100 ? AT_FDCWD : directory; }

int words_at_flags(int flags) {
  static const struct word words[] = {
      {0x100, AT_SYMLINK_NOFOLLOW},
      {0x400, AT_SYMLINK_FOLLOW},
      {0x200, AT_REMOVEDIR},
  };
  return BITS(words, flags);
}

#ifdef __APPLE__
#define RENAME_NOREPLACE RENAME_EXCL
#define RENAME_EXCHANGE RENAME_SWAP
#endif

int words_rename_flags(unsigned flags) {
  static const struct word words[] = {{1, RENAME_NOREPLACE}, {2, RENAME_EXCHANGE}};
  return BITS(words, (int)flags);
}

int words_whence(int whence) {
  static const int ours[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE};
  return whence >= 0 && whence < 5 ? ours[whence] : -1;
}

static const int lock_types[] = {F_RDLCK, F_WRLCK, F_UNLCK};

int words_lock_type(int type) { return type >= 0 && type < 3 ? lock_types[type] : -1; }

int words_lock_type_told(int type) {
  for (int told = 0; told < 3; told++) {
    if (lock_types[told] == type) return told;
  }
  return -1;
}

int words_views_within(const struct iovec *views, int count, size_t limit) {
  size_t left = limit;
  int within = 0;
  while (within < count && views[within].iov_len <= left) left -= views[within++].iov_len;
  return within;
}
