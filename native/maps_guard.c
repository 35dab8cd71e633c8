/* Everything here that a signal may run is async-signal-safe: signal-safety(7). */
#define _GNU_SOURCE
#include "maps_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#define PASSING_MAX 16

/* Who handled SIGBUS before; the newest first. Written before it is published, never freed. */
struct former {
  struct sigaction action;
  const struct former *older;
};

static _Atomic(const struct former *) newest;

/*
 * The frames whose signal is being passed on. A handler that was put in front of ours passes to us
 * what we pass to it: the second time the frame is here, and the signal goes to the oldest.
 */
static _Atomic(const void *) passing[PASSING_MAX];

static int is_passing(const void *frame) {
  for (int place = 0; place < PASSING_MAX; place++) {
    if (atomic_load(&passing[place]) == frame) return 1;
  }
  return 0;
}

static _Atomic(const void *) *note_passing(const void *frame) {
  for (int place = 0; place < PASSING_MAX; place++) {
    const void *none = NULL;
    if (atomic_compare_exchange_strong(&passing[place], &none, frame)) return &passing[place];
  }
  return NULL;
}

static void handle_by_default(void) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigaction(SIGBUS, &action, NULL);
}

/* A fault comes again when the instruction is run again; what kill(2) sent has to be sent again. */
static void end_process(int signal_number, const siginfo_t *info) {
  handle_by_default();
  if (info->si_code <= 0) raise(signal_number);
}

static void call_former(const struct sigaction *former, int number, siginfo_t *info, void *frame) {
  if (former->sa_flags & SA_RESETHAND) handle_by_default();
  if (former->sa_flags & SA_NODEFER) {
    sigset_t this_one;
    sigemptyset(&this_one);
    sigaddset(&this_one, number);
    pthread_sigmask(SIG_UNBLOCK, &this_one, NULL);
  }
  if (former->sa_flags & SA_SIGINFO) former->sa_sigaction(number, info, frame);
  else former->sa_handler(number);
}

static void pass_on(int number, siginfo_t *info, void *frame) {
  const struct former *former = atomic_load(&newest);
  if (is_passing(frame)) {
    while (former->older != NULL) former = former->older;
  }
  const struct sigaction *action = &former->action;
  int is_plain = (action->sa_flags & SA_SIGINFO) == 0;
  /* The kernel ends a process whose own fault is ignored: sigaction(2). */
  if (is_plain && action->sa_handler == SIG_IGN && info->si_code <= 0) return;
  if (is_plain && (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN)) {
    end_process(number, info);
    return;
  }
  _Atomic(const void *) *noted = note_passing(frame);
  call_former(action, number, info, frame);
  if (noted != NULL) atomic_store(noted, NULL);
}

/* BUS_ADRALN is the instruction's own mistake: other memory would not mend it. */
static int is_of_memory(const siginfo_t *info) {
  return info->si_code == BUS_ADRERR || info->si_code == BUS_MCEERR_AR;
}

static void on_bus_error(int number, siginfo_t *info, void *frame) {
  int kept = errno;
  if (!is_of_memory(info) || !maps_mend((uintptr_t)info->si_addr)) pass_on(number, info, frame);
  errno = kept;
}

int guard_is_installed(void) {
  struct sigaction now;
  if (sigaction(SIGBUS, NULL, &now) < 0) return 0;
  return (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_bus_error;
}

/*
 * SA_ONSTACK for threads that have a stack of their own for signals; V8 and the sanitizers have.
 * The mask is the former's, since it may count on that; SA_RESTART, since kill(2) sends SIGBUS too.
 */
int guard_install(void) {
  if (guard_is_installed()) return 0;
  struct former *former = calloc(1, sizeof *former);
  if (former == NULL) return -ENOMEM;
  sigaction(SIGBUS, NULL, &former->action);
  former->older = atomic_load(&newest);
  atomic_store(&newest, former);
  struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  action.sa_sigaction = on_bus_error;
  action.sa_mask = former->action.sa_mask;
  return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}
