/* health.h: `lowtide health`: is the server alive that listens there? */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Asks GET /healthz, or /readyz with `ready`, of `host` (numeric; one that means all addresses is
 * asked on loopback) and prints one line. Returns an exit code: 0 if the answer is 200. */
int health(const char *host, uint16_t port, bool ready);
