/* thread.h: which thread is dispatch's, for assertions. */
#pragma once

#include <stdbool.h>

/* The calling thread is dispatch's from now on: of one dispatch, or of a test that plays it. */
void dispatch_thread_begin(void);
bool on_dispatch_thread(void);
