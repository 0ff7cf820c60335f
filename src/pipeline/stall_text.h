/* stall_text.h: why a batch is held, as its row says, in words for clients (lowtide.stall_message). */
#pragma once

#include "batch/batch.h"
#include "batch/opening.h"
#include "batch/stall.h"

/* It is held, or its canary has ended. False: it goes on, and `message` is as it was. */
bool stall_text_hold(const struct batch *row, char message[static STALL_TEXT_BYTES]);
/* It is outside its hours; `opening` NULL: their zone is not known here. */
void stall_text_hours(const struct batch *row, const struct opening *opening,
		      char message[static STALL_TEXT_BYTES]);
