/* wait.h: `lowtide wait ID...`: until batches have ended; the exit code says what came of them. */
#pragma once

#include "terminal/asked.h"

struct wait_options {
	struct asked asked;
	char *const *ids;
	size_t id_count;
	uint64_t timeout_s; /* 0: none */
};

/* The exit code: that of waiting.h, or EXIT_FAULT. */
int batches_wait(const struct wait_options *o);
