/* notify.h: what systemd is told of the server (sd_notify(3)): datagrams to the socket that
 * NOTIFY_SOCKET names. Without that variable, which is everywhere but in a unit of Type=notify,
 * each call does nothing. What cannot be told is a warning in the log: `serve.not_notified`. One
 * thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

/* One line for `systemctl status`. */
void notify_status(const char *format, ...) PRINTF_LIKE(1, 2);
/* The server listens: units that wait for it may start. Ends a reload, too. */
void notify_ready(const char *format, ...) PRINTF_LIKE(1, 2);
/* The configuration is read anew; notify_ready() says when that is over. */
void notify_reloading(void);
/* The server ends, and takes `at_most_s` for it: systemd is not to kill it before. */
void notify_stopping(uint64_t at_most_s);

/* Whether what is written to `fd` goes to the journal (JOURNAL_STREAM), where others than the
 * person who starts the program read it. */
bool output_is_journal(int fd);
