/*
 * How the event loop hears of the ring: it polls the ring's descriptor itself where it is Node's
 * own (direct reads one by one: 16.0 k/s against 12.0 k/s), else a thread waits for it.
 *
 * Invariants: 1. The callback runs on the loop's thread, never after wake_stop has begun.
 *             2. The loop stays alive while the wake is referenced, and only then.
 *             3. `done` is called once, when nothing of the wake is left.
 */
#ifndef HOLDFAST_WAKE_H
#define HOLDFAST_WAKE_H

#include <node_api.h>

struct wake;

/* `uses_loop`: the process is Node proper, and its uv_* functions do what they say. NULL when there
 * is no way to be had. `callback` is called without arguments. */
struct wake *wake_start(napi_env env, napi_value callback, int fd, int uses_loop);
int wake_uses_loop(const struct wake *wake);
void wake_reference(struct wake *wake, int is_referenced);
void wake_stop(struct wake *wake, void (*done)(void *), void *argument);

#endif
