/* The handler of SIGBUS: one for the process. */
#ifndef HOLDFAST_MAPS_GUARD_H
#define HOLDFAST_MAPS_GUARD_H

#include <stdint.h>

/* Puts the handler in front of whatever handles SIGBUS now; 0 or -errno. One caller at a time. */
int guard_install(void);

int guard_is_installed(void);

/* For the handler, so async-signal-safe: mends a fault in a map; 0 when the address is in none. */
int maps_mend(uintptr_t address);

#endif
