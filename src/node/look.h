/* look.h: the node's own thread: looks, buries, takes and releases, and calls the ops. */
#pragma once

/* `arg` is the node; ends when it closes. */
void *look_main(void *arg);
