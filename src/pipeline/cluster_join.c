/* cluster_join.c: joins batches whose last span was finished here. One that fails is found by the node that
 * leads (cluster_lead.c). */
#include "base/log.h"
#include "base/sys.h"
#include "pipeline/cluster_impl.h"
#include "pipeline/span_join.h"

void cluster_join_work(void *arg)
{
	struct cluster *cl = arg;
	unsigned asked = cl->join.asked;
	char id[ID_SIZE];
	struct error err;
	uint64_t others;

	while (!cluster_is_closing(cl) && cluster_ended_take(cl, id))
		if (!span_join(cl, cl->env, id, JOIN_ALL, &err) &&
		    log_storm_pass(&cl->join_failed, sys.monotonic_ms(), &others))
			log_fault("cluster.join_failed", &err, kv_str("batch", id),
				  kv_u64("others_before", others));
	cluster_task_end(cl, &cl->join, asked);
}
