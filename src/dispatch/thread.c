/* thread.c: a mark in the thread itself. */
#include "dispatch/thread.h"

static _Thread_local bool here;

void dispatch_thread_begin(void)
{
	here = true;
}

bool on_dispatch_thread(void)
{
	return here;
}
