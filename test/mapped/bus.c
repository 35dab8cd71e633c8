/*
 * An addon that handles SIGBUS too, and has faults of its own.
 *
 * handle(once)     takes the place of whoever handles SIGBUS; what kill(2) sent it takes; after a
 *                  fault it ends the program with 42. `once`: it is reset when it is called, says
 *                  so and returns
 * passInFront()    as handle, and passes everything to who was there before
 * fault()          reads a mapping of a file that was cut, which nobody knows of
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <node_api.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct sigaction passed_to;
static bool is_once;

static void tell(const char *words) {
  if (write(1, words, strlen(words)) < 0) _exit(3);
}

static void handle_it(int number, siginfo_t *info, void *frame) {
  (void)number;
  (void)frame;
  tell(info->si_code > 0 ? "a fault\n" : "a signal\n");
  if (info->si_code > 0 && !is_once) _exit(42);
}

static void pass_it(int number, siginfo_t *info, void *frame) {
  tell("passed\n");
  passed_to.sa_sigaction(number, info, frame);
}

static napi_value handle(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value once;
  napi_get_cb_info(env, info, &count, &once, NULL, NULL);
  napi_get_value_bool(env, once, &is_once);
  struct sigaction action = {.sa_sigaction = handle_it};
  action.sa_flags = SA_SIGINFO | (is_once ? (int)SA_RESETHAND : 0);
  sigaction(SIGBUS, &action, NULL);
  return NULL;
}

static napi_value pass_in_front(napi_env env, napi_callback_info info) {
  (void)env;
  (void)info;
  struct sigaction action = {.sa_flags = SA_SIGINFO, .sa_sigaction = pass_it};
  sigaction(SIGBUS, &action, &passed_to);
  return NULL;
}

static napi_value fault(napi_env env, napi_callback_info info) {
  char path[] = "/tmp/holdfast-test-bus-XXXXXX";
  int fd = mkstemp(path);
  (void)env;
  (void)info;
  unlink(path);
  volatile char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  if (fd < 0 || memory == MAP_FAILED) _exit(4);
  (void)memory[0];
  return NULL;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "handle", NAPI_AUTO_LENGTH, handle, NULL, &function);
  napi_set_named_property(env, exports, "handle", function);
  napi_create_function(env, "passInFront", NAPI_AUTO_LENGTH, pass_in_front, NULL, &function);
  napi_set_named_property(env, exports, "passInFront", function);
  napi_create_function(env, "fault", NAPI_AUTO_LENGTH, fault, NULL, &function);
  napi_set_named_property(env, exports, "fault", function);
  return exports;
}
