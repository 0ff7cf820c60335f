/* span_join.h: a batch all of whose spans are finished becomes final: its result files are made of the
 * spans' parts, by copies in the bucket, and its last state is written. Private to pipeline/. */
#pragma once

#include "base/error.h"

struct cluster;
struct coordinator_env;

enum span_join {
	JOIN_ALL, /* ENOENT or EBADMSG in err->sys: a part is gone, or is not what it was */
	JOIN_WHAT_IS_THERE, /* such a batch ends as `failed`, without the lines of those spans */
};
/* Any node may, and several at a time: the same objects get the same bytes, and one of them moves the
 * batch. A batch that is final already, or gone, is no error. Waits for bucket and database. */
MUST_USE bool span_join(struct cluster *cl, struct coordinator_env *env, const char *batch_id,
			enum span_join how, struct error *err);
