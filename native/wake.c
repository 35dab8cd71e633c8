/* Witness: uv_poll_t of docs.libuv.org; libuv's functions are found by dlsym(3), since a linked
 * uv_* symbol aborts Bun and crashes Deno. */
#define _GNU_SOURCE
#include "wake.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define UV_POLL_HANDLE 8 /* enum uv_handle_type: part of the ABI of libuv 1 */
#define UV_WHEN_READABLE 1

struct loop_calls {
  size_t (*handle_size)(int type);
  int (*init)(void *loop, void *handle, int fd);
  int (*start)(void *handle, int events, void (*callback)(void *, int, int));
  int (*stop)(void *handle);
  void (*close)(void *handle, void (*callback)(void *));
  void (*set_data)(void *handle, void *data);
  void (*reference)(void *handle);
  void (*unreference)(void *handle);
  napi_status (*loop_of)(napi_env env, void **loop);
};

struct wake {
  napi_env env;
  napi_ref callback;
  int fd;
  int is_referenced;
  int is_stopping;
  struct loop_calls loop;
  void *handle; /* uv_poll_t; NULL where a thread waits */
  pthread_t thread;
  int stop_fd;
  napi_threadsafe_function function;
  void (*done)(void *);
  void *done_argument;
};

/* ---------------------------------------------------------------------------------- the loop */

/* POSIX has it that a pointer of dlsym(3) is a function's; ISO C does not, hence the copy. */
static int find(void *function, const char *name) {
  void *found = dlsym(RTLD_DEFAULT, name);
  *(void **)function = found;
  return found != NULL;
}

static int find_all(struct loop_calls *calls) {
  return find(&calls->handle_size, "uv_handle_size") && find(&calls->init, "uv_poll_init") &&
         find(&calls->start, "uv_poll_start") && find(&calls->stop, "uv_poll_stop") &&
         find(&calls->close, "uv_close") && find(&calls->set_data, "uv_handle_set_data") &&
         find(&calls->reference, "uv_ref") && find(&calls->unreference, "uv_unref") &&
         find(&calls->loop_of, "napi_get_uv_event_loop");
}

/* Left pending, it would be thrown by whatever call into the addon comes next. */
static void throw_uncaught(napi_env env) {
  bool is_pending = false;
  napi_value error;
  if (napi_is_exception_pending(env, &is_pending) != napi_ok || !is_pending) return;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

static void on_readable(void *handle, int status, int events) {
  struct wake *wake = *(struct wake **)handle; /* uv_handle_t: its data stands first */
  napi_handle_scope scope;
  napi_value callback, receiver;
  (void)status;
  (void)events;
  if (wake->is_stopping || napi_open_handle_scope(wake->env, &scope) != napi_ok) return;
  if (napi_get_reference_value(wake->env, wake->callback, &callback) == napi_ok &&
      napi_get_global(wake->env, &receiver) == napi_ok) {
    /* Not napi_call_function: this is the bottom of the stack, where ticks are to be run. */
    if (napi_make_callback(wake->env, NULL, receiver, callback, 0, NULL, NULL) != napi_ok) {
      throw_uncaught(wake->env);
    }
  }
  napi_close_handle_scope(wake->env, scope);
}

static int start_on_loop(struct wake *wake) {
  void *loop;
  if (!find_all(&wake->loop) || wake->loop.loop_of(wake->env, &loop) != napi_ok) return 0;
  void *handle = calloc(1, wake->loop.handle_size(UV_POLL_HANDLE));
  if (handle == NULL) return 0;
  if (wake->loop.init(loop, handle, wake->fd) != 0) {
    free(handle);
    return 0;
  }
  wake->loop.set_data(handle, wake);
  wake->handle = handle;
  wake->loop.unreference(handle);
  wake->loop.start(handle, UV_WHEN_READABLE, on_readable);
  return 1;
}

/* ------------------------------------------------------------------------------- the thread */

static void *wait_for_wakes(void *argument) {
  struct wake *wake = argument;
  struct pollfd ends[2] = {{.fd = wake->fd, .events = POLLIN},
                           {.fd = wake->stop_fd, .events = POLLIN}};
  for (;;) {
    uint64_t count;
    if (poll(ends, 2, -1) < 0 && errno != EINTR) return NULL;
    if (ends[1].revents != 0) return NULL;
    if (read(wake->fd, &count, sizeof count) < 0) continue;
    napi_call_threadsafe_function(wake->function, NULL, napi_tsfn_nonblocking);
  }
}

static void on_called(napi_env env, napi_value callback, void *context, void *data) {
  struct wake *wake = context;
  napi_value receiver;
  (void)data;
  if (env == NULL || wake->is_stopping) return;
  napi_get_undefined(env, &receiver);
  napi_call_function(env, receiver, callback, 0, NULL, NULL);
}

static int start_thread(struct wake *wake, napi_value callback) {
  napi_value name;
  sigset_t all, before;
  wake->stop_fd = eventfd(0, EFD_CLOEXEC);
  if (wake->stop_fd < 0) return 0;
  napi_create_string_utf8(wake->env, "holdfast ring", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(wake->env, callback, NULL, name, 0, 1, NULL, NULL, wake,
                                      on_called, &wake->function) != napi_ok) {
    return 0;
  }
  napi_unref_threadsafe_function(wake->env, wake->function);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int refused = pthread_create(&wake->thread, NULL, wait_for_wakes, wake);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (refused != 0) napi_release_threadsafe_function(wake->function, napi_tsfn_abort);
  return refused == 0;
}

static void stop_thread(struct wake *wake) {
  uint64_t one = 1;
  while (write(wake->stop_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
  pthread_join(wake->thread, NULL);
  napi_release_threadsafe_function(wake->function, napi_tsfn_abort);
}

/* ---------------------------------------------------------------------------------- both */

static void end(struct wake *wake) {
  if (wake->stop_fd >= 0) close(wake->stop_fd);
  free(wake->handle);
  if (wake->done != NULL) wake->done(wake->done_argument);
  free(wake);
}

struct wake *wake_start(napi_env env, napi_value callback, int fd, int uses_loop) {
  struct wake *wake = calloc(1, sizeof *wake);
  if (wake == NULL) return NULL;
  wake->env = env;
  wake->fd = fd;
  wake->stop_fd = -1;
  if (napi_create_reference(env, callback, 1, &wake->callback) == napi_ok &&
      ((uses_loop && start_on_loop(wake)) || start_thread(wake, callback))) {
    return wake;
  }
  if (wake->callback != NULL) napi_delete_reference(env, wake->callback);
  end(wake);
  return NULL;
}

int wake_uses_loop(const struct wake *wake) { return wake->handle != NULL; }

void wake_reference(struct wake *wake, int is_referenced) {
  if (wake->is_referenced == is_referenced) return;
  wake->is_referenced = is_referenced;
  if (wake->handle == NULL) {
    if (is_referenced) napi_ref_threadsafe_function(wake->env, wake->function);
    else napi_unref_threadsafe_function(wake->env, wake->function);
  } else if (is_referenced) {
    wake->loop.reference(wake->handle);
  } else {
    wake->loop.unreference(wake->handle);
  }
}

static void on_closed(void *handle) { end(*(struct wake **)handle); }

void wake_stop(struct wake *wake, void (*done)(void *), void *argument) {
  wake->is_stopping = 1;
  wake->done = done;
  wake->done_argument = argument;
  napi_delete_reference(wake->env, wake->callback);
  if (wake->handle != NULL) {
    wake->loop.stop(wake->handle);
    wake->loop.close(wake->handle, on_closed);
    return;
  }
  stop_thread(wake);
  end(wake);
}
