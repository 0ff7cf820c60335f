#include "node/lease.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/state.h"
#include "store/nodes.h"

/* What a renewal says, as it is when it is asked. */
struct lease_asked {
	struct owner me;
	uint64_t floor;
	bool draining;
	int64_t asked_us;
};

/* With the lock held. */
static struct lease_asked asked_make(struct node *n)
{
	n->renew_now = false;
	return (struct lease_asked){ n->me, objects_floor(&n->objects), n->is_draining,
				     node_mono_us() };
}

/* All it had is another's, or nobody's: it sends no more, and renews no more before the looking
 * thread has told that (`epoch`: that of its row). */
static void was_buried(struct node *n, uint64_t epoch)
{
	atomic_store(&n->deadline_us, 0);
	pthread_mutex_lock(&n->lock);
	n->is_buried = true;
	n->epoch_next = epoch;
	pthread_mutex_unlock(&n->lock);
	node_wake(n);
}

static void was_renewed(struct node *n, const struct lease_asked *r)
{
	int64_t before_us = atomic_load(&n->deadline_us);

	atomic_store(&n->deadline_us, lease_deadline_us(r->asked_us));
	n->renew_due_us = r->asked_us + LEASE_RENEW_US;
	pthread_mutex_lock(&n->lock);
	n->had_lease = true;
	bool drains = r->draining && !n->drain_is_told;
	n->drain_is_told = r->draining;
	pthread_mutex_unlock(&n->lock);
	if (drains || !lease_may_send(before_us, node_mono_us()))
		node_look_soon(n); /* there is something to leave; there may be something to take */
}

static void renew(struct node *n, const struct lease_asked *r)
{
	uint64_t epoch;
	bool renewed;
	struct error err;

	if (!store_node_renew(n->renewing, r->me, r->floor, r->draining, &renewed, &epoch, &err)) {
		n->renew_due_us = node_mono_us() + LEASE_RENEW_AGAIN_US;
		node_note(n, FAULT_RENEW, &err);
		return;
	}
	node_note(n, FAULT_RENEW, NULL);
	if (renewed)
		was_renewed(n, r);
	else
		was_buried(n, epoch);
}

/* With the lock held. */
static bool is_due(const struct node *n)
{
	return !n->is_buried && (n->renew_now || node_mono_us() >= n->renew_due_us);
}

void *lease_main(void *arg)
{
	struct node *n = arg;

	pthread_mutex_lock(&n->lock);
	while (!n->is_closing) {
		if (is_due(n)) {
			struct lease_asked r = asked_make(n);
			pthread_mutex_unlock(&n->lock);
			renew(n, &r);
			pthread_mutex_lock(&n->lock);
			continue;
		}
		struct timespec until = clock_after_ms(
			n->is_buried ? node_wait_ms_max : node_wait_ms(n->renew_due_us));
		pthread_cond_timedwait(&n->renew_wake, &n->lock, &until);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}
