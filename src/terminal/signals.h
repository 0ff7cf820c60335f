/* signals.h: SIGTERM and SIGINT end the program: the first in good order, a second one at once.
 * SIGHUP makes a server read its configuration anew (app/reload.h); other commands end by SIGHUP as
 * any program does whose terminal is gone. */
#pragma once

#include "base/error.h"

/* Blocks both for every thread that is started from now on, and ignores SIGPIPE. To be called
 * before the first thread starts. */
void signals_block(void);
/* SIGHUP likewise, and from then on signals_wait() takes it. */
void signals_block_hangup(void);
/* From now on the end of standard input does what SIGTERM does: for a program whose parent holds the
 * other end of a pipe, and may be killed. Calls signals_block(). */
MUST_USE bool signals_stop_at_eof(struct error *err);
/* Waits for one of them, at most `timeout_ms` (-1: without end); its number, or 0. Main thread. */
int signals_wait(int timeout_ms);
/* After a write that failed: whoever reads has gone (`| head -1`), so the process ends by SIGPIPE,
 * without a word, as where that is not ignored. Another errno changes nothing. */
void signals_reader_gone(int saved_errno);
/* From now on SIGTERM or SIGINT ends the process at once with 128 + number: what is on disk is good
 * for the next start at any moment. SIGHUP, where it is blocked, stays so. */
void signals_end_at_once(void);
