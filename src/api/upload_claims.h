/* upload_claims.h: what is being done to uploads in parts (contract 4) in this process. A pending
 * upload's own blob takes one part at a time, so that parts that come one after the other lie one
 * behind the other; and of two calls that complete an upload one works. A crash forgets claims with
 * the calls. Any thread; the lock is held for an instant. */
#pragma once

#include <pthread.h>

#include "base/attr.h"
#include "base/id.h"

/* Lives in the call; in the list while `held`. */
struct upload_claim {
	struct upload_claim *next;
	char upload[ID_SIZE];
	bool completes; /* else: it appends to the upload's blob */
	bool held;
};

struct upload_claims {
	pthread_mutex_t lock;
	struct upload_claim *first;
};

/* False: another appends, or the upload is being completed. */
bool upload_claim_blob(struct upload_claims *claims, struct upload_claim *c, const char *upload);
/* False: another completes it. *ret_alone: nobody appends to its blob, nor will while `c` is
 * held. */
bool upload_claim_complete(struct upload_claims *claims, struct upload_claim *c, const char *upload,
			   bool *ret_alone);
/* Nothing happens if nothing is held. */
void upload_claim_end(struct upload_claims *claims, struct upload_claim *c);
