/*
 * Linux' numbers in those of this system: rows speak the former (docs/native.md, "Whose numbers").
 * Pure. On Linux each answers what it was given, which is how they are tried; a number that this
 * system has no word for answers -1.
 */
#ifndef HOLDFAST_WORDS_H
#define HOLDFAST_WORDS_H

#include "views.h"

int words_directory(int directory); /* AT_FDCWD, else a descriptor */
int words_at_flags(int flags);      /* AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_REMOVEDIR */
int words_rename_flags(unsigned flags);
int words_whence(int whence);
int words_lock_type(int type);      /* of a range */
int words_lock_type_told(int type); /* the other way */

/* Of the views as many from the first on as have `limit` bytes at most between them. */
int words_views_within(const struct iovec *views, int count, size_t limit);

#endif
