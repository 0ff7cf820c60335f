/* hold.h: a client holds a batch, or lets it go on (contract 11.3). */
#pragma once

#include "pipeline/cancel.h"

/* Holds the batch (`held`) or resumes it, durably, and then tells its coordinator. *ret_final: the
 * batch is final, and nothing can be held or resumed. *ret_changed: it is otherwise than before. One
 * that is held already stays as it is, and so does one that is finalizing or cancelling: it sends
 * nothing more. NOT_FOUND. Any thread; waits for the store. */
MUST_USE bool batch_hold(const struct batch_call *call, bool held, bool *ret_final,
			 bool *ret_changed, struct error *err);
