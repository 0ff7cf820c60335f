/* garbage_sweep.h: objects of the bucket that no row names and none ever will go, an hour after that
 * was seen (store/garbage.h): chunks of finished spans, parts of lost epochs. Private to pipeline/. */
#pragma once

#include "base/error.h"

struct blobs;
struct cluster;

/* Lists chunks and parts, whoever made them. One node at a time is enough, several do no harm. Waits
 * for bucket and database. */
MUST_USE bool garbage_sweep(struct cluster *cl, struct blobs *blobs, struct error *err);
