/* lease.h: the thread that renews a node's lease. */
#pragma once

/* `arg` is the node; ends when it closes. */
void *lease_main(void *arg);
