/*
 * Runs a command in which the kernel answers some system calls with an error, as the filters of
 * Docker, containerd and Kubernetes do (EPERM) and kernels without io_uring (ENOSYS).
 *
 *   refuse ERRNO CALL[,CALL]... COMMAND [ARGUMENT]...
 *
 * ERRNO and CALL are numbers. Needs no rights: PR_SET_NO_NEW_PRIVS.
 *
 * Source: seccomp(2), bpf(2); Documentation/userspace-api/seccomp_filter.rst
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { calls_max = 16 };

static int fail(const char *what) {
  fprintf(stderr, "refuse: %s: %s\n", what, strerror(errno));
  return 127;
}

int main(int count, char **words) {
  struct sock_filter filter[2 * calls_max + 2];
  unsigned short length = 0;
  if (count < 4) {
    fprintf(stderr, "refuse ERRNO CALL[,CALL]... COMMAND [ARGUMENT]...\n");
    return 127;
  }
  unsigned answer = SECCOMP_RET_ERRNO | ((unsigned)atoi(words[1]) & SECCOMP_RET_DATA);
  struct sock_filter load = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  filter[length++] = load;
  int calls = 0;
  for (char *call = strtok(words[2], ","); call != NULL && calls < calls_max; calls++) {
    struct sock_filter compare =
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(call), 0, 1);
    struct sock_filter refuse = BPF_STMT(BPF_RET | BPF_K, answer);
    filter[length++] = compare;
    filter[length++] = refuse;
    call = strtok(NULL, ",");
  }
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  filter[length++] = allow;
  struct sock_fprog program = {.len = length, .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return fail("PR_SET_NO_NEW_PRIVS");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) return fail("PR_SET_SECCOMP");
  execvp(words[3], words + 3);
  return fail(words[3]);
}
