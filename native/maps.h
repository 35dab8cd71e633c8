/*
 * Files as memory: which ranges of this process are ours, and what becomes of a fault in them.
 *
 * A page that the system cannot give (the file was cut under it, the disk of a hole is full, the
 * device failed) is a SIGBUS, which ends the process. In a range of ours zero pages take its
 * place, the fault is counted, and the program goes on. Any other SIGBUS is passed to whoever
 * handled it before.
 *
 * Invariants: 1. The memory is the caller's from its birth to its end: a file's pages take the
 *                place of its own, zero pages theirs. No address is ever given back here, so none
 *                can be somebody else's while anything may still use it.
 *             2. A handle names one map from its making to its end, whatever else is made.
 *             3. The handler takes no lock, allocates nothing and calls nothing but system calls;
 *                what it reads of the table is atomic.
 *             4. The table is the process'; it never shrinks, and the library is never unloaded
 *                (-z nodelete), so that the handler outlives the environment that installed it.
 * Not promised: that a handler installed after ours passes on what is ours: the next map puts ours
 * in front again, maps_guarded() tells until then.
 * Source: mmap(2), mremap(2), sigaction(2), signal-safety(7)
 */
#ifndef HOLDFAST_MAPS_H
#define HOLDFAST_MAPS_H

#include <stdint.h>

#include "views.h"

/* mmap(2) of whole pages of `fd`, which is duplicated, over `memory`: a handle, or -errno. */
int64_t maps_open(const struct iovec *memory, int fd, int flags, int protection, double offset);

/* Leaves the file: zero pages in its place, its descriptor closed. */
int64_t maps_leave(int32_t handle);

/* The same where the memory is gone already. */
void maps_forget(int32_t handle);

/* msync(2) with MS_SYNC, and madvise(2), of a range counted from the first page of the map. */
int64_t maps_sync(int32_t handle, double offset, double length);
int64_t maps_advise(int32_t handle, double offset, double length, int advice);

/* The size of the file by now; -EFAULT once a page of the map was replaced; -errno. */
int64_t maps_look(int32_t handle);

/* The maps of an environment are forgotten when it ends; its memory is about to. */
void maps_adopt(int32_t handle, const void *owner);
void maps_forget_all(const void *owner);

/* Whether the handler of SIGBUS is ours. */
int maps_guarded(void);

#endif
