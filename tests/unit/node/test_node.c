/* Nodes in one process, on one schema of a real PostgreSQL. Both clocks are the test's: the
 * database's, which leases are of, and the nodes' own. Threads are waited for by what they do. */
/* Its node_open() is a connection, and no node. */
#define node_open test_connection_open
#include "../store/cluster_test.h"
#undef node_open

#include <poll.h>
#include <stdatomic.h>

#include "log_seen.h"
#include "node/node_impl.h"
#include "node/state.h"

/* ---- time ---- */

static _Atomic uint64_t mono_us;

static uint64_t mono_now_us(void)
{
	return atomic_load(&mono_us);
}

/* ---- a node and what is told to its host ---- */

#define HOSTS 3
#define UPSTREAMS 4
static const char *const names[UPSTREAMS] = { "u1", "u2", "u3", "u4" };

struct host {
	struct node *node;
	char *dir;
	pthread_mutex_t lock;
	bool drives[UPSTREAMS];
	unsigned left_n; /* leave() was called, so often */
	bool keeps;      /* something stays in flight */
	_Atomic unsigned lost;
	struct owner owner_when_lost;
	char why_when_lost[700];
	_Atomic unsigned told;
	_Atomic uint64_t looked_us;
	uint64_t heard_of; /* online requests of other nodes */
	unsigned heard[UPSTREAMS], heard_n;
	char wanted[32];
};

static struct host hosts[HOSTS];

static unsigned upstream_of(const char *name)
{
	for (unsigned u = 0; u < UPSTREAMS; u++)
		if (strcmp(names[u], name) == 0)
			return u;
	abort();
}

static void set_drives(struct host *h, const char *upstream, bool does)
{
	pthread_mutex_lock(&h->lock);
	h->drives[upstream_of(upstream)] = does;
	pthread_mutex_unlock(&h->lock);
}

static void lost(void *ctx)
{
	struct host *h = ctx;

	pthread_mutex_lock(&h->lock);
	memset(h->drives, 0, sizeof(h->drives));
	pthread_mutex_unlock(&h->lock);
	h->owner_when_lost = node_owner(h->node);
	(void)node_is_well(h->node, h->why_when_lost, sizeof(h->why_when_lost));
	atomic_fetch_add(&h->lost, 1);
}

static void taken(void *ctx, const char *upstream)
{
	set_drives(ctx, upstream, true);
}

static void leave(void *ctx, const char *upstream)
{
	struct host *h = ctx;

	pthread_mutex_lock(&h->lock);
	h->left_n++;
	struct node *n = h->keeps ? NULL : h->node;
	pthread_mutex_unlock(&h->lock);
	if (n == NULL)
		return;
	set_drives(h, upstream, false);
	node_released(n, upstream);
}

static void look(void *ctx, unsigned told)
{
	struct host *h = ctx;

	atomic_fetch_or(&h->told, told);
	atomic_store(&h->looked_us, mono_now_us());
}

static void online(void *ctx, uint64_t node, const char *upstream, unsigned units)
{
	struct host *h = ctx;

	pthread_mutex_lock(&h->lock);
	h->heard_of = node;
	h->heard[upstream_of(upstream)] = units;
	h->heard_n++;
	pthread_mutex_unlock(&h->lock);
}

static void wanted(void *ctx, const char *model)
{
	struct host *h = ctx;

	pthread_mutex_lock(&h->lock);
	snprintf(h->wanted, sizeof(h->wanted), "%s", model);
	pthread_mutex_unlock(&h->lock);
}

static const struct node_ops ops = { lost, taken, leave, look, online, wanted };

static unsigned driven(struct host *h)
{
	unsigned n = 0;

	pthread_mutex_lock(&h->lock);
	for (unsigned u = 0; u < UPSTREAMS; u++)
		n += h->drives[u];
	pthread_mutex_unlock(&h->lock);
	return n;
}

static bool drives(struct host *h, unsigned upstream)
{
	pthread_mutex_lock(&h->lock);
	bool is = h->drives[upstream];
	pthread_mutex_unlock(&h->lock);
	return is;
}

static unsigned left(struct host *h)
{
	pthread_mutex_lock(&h->lock);
	unsigned n = h->left_n;
	pthread_mutex_unlock(&h->lock);
	return n;
}

static void keep(struct host *h, bool keeps)
{
	pthread_mutex_lock(&h->lock);
	h->keeps = keeps;
	pthread_mutex_unlock(&h->lock);
}

/* Knows no upstream yet. */
static void start_as(unsigned i, bool drives_any)
{
	struct host *h = &hosts[i];
	struct node_config c = { node_url, h->dir, "a:1", "0.1.0", "digest", &ops, h, drives_any };

	atomic_store(&h->lost, 0);
	atomic_store(&h->told, 0);
	atomic_store(&h->looked_us, 0);
	memset(h->drives, 0, sizeof(h->drives));
	memset(h->heard, 0, sizeof(h->heard));
	h->heard_n = 0;
	h->wanted[0] = '\0';
	h->left_n = 0;
	h->keeps = false;
	MUST(node_open(&c, &h->node, &err));
}

static struct host *start(unsigned i)
{
	start_as(i, true);
	node_upstreams(hosts[i].node, names, UPSTREAMS);
	return &hosts[i];
}

/* As a process that dies. */
static void dies(struct host *h)
{
	node_abandon(TAKE(h->node));
}

/* ---- waiting for threads ---- */

#define SOON(condition)                                            \
	do {                                                       \
		for (int tries_ = 0; !(condition); tries_++) {     \
			if (tries_ == 2000)                        \
				fail_msg("never: %s", #condition); \
			poll(NULL, 0, 5);                          \
		}                                                  \
	} while (0)

static bool is_up_to_date(struct host *h)
{
	int64_t now_us = (int64_t)mono_now_us();

	return node_deadline_us(h->node) > now_us + 9 * PROTOCOL_S &&
	       atomic_load(&h->looked_us) + LOOK_US > mono_now_us();
}

/* A second of both clocks at a time: the database's first, so that no node asks before it has
 * come. Nodes do what is due by then. */
static void pass(unsigned seconds)
{
	for (unsigned s = 0; s < seconds; s++) {
		clock_forward_us(PROTOCOL_S);
		atomic_fetch_add(&mono_us, PROTOCOL_S);
		for (unsigned i = 0; i < HOSTS; i++)
			if (hosts[i].node != NULL)
				SOON(is_up_to_date(&hosts[i]));
	}
}

/* Nobody is told of one that enters: the others see it at a look. */
#define IN_TIME(condition)                          \
	do {                                        \
		for (unsigned s_ = 0; s_ < 4; s_++) \
			pass(1);                    \
		SOON(condition);                    \
	} while (0)

/* Without that they can. */
static void pass_away(unsigned seconds)
{
	clock_forward_us(seconds * PROTOCOL_S);
	atomic_fetch_add(&mono_us, seconds * PROTOCOL_S);
}

static int node_setup(void **state)
{
	(void)cluster_setup(state);
	atomic_store(&mono_us, 1000 * PROTOCOL_S);
	sys.monotonic_us = mono_now_us;
	node_wait_ms_max = 10;
	for (unsigned i = 0; i < HOSTS; i++) {
		hosts[i].dir = scratch_dir_new();
		pthread_mutex_init(&hosts[i].lock, NULL);
	}
	return 0;
}

static int node_teardown(void **state)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		if (hosts[i].node != NULL)
			dies(&hosts[i]);
		scratch_dir_remove(TAKE(hosts[i].dir));
	}
	return cluster_teardown(state);
}

#define WITH_NODES(test) cmocka_unit_test_setup_teardown(test, node_setup, node_teardown)

/* ---- the balance ---- */

static void two_share_the_upstreams(void **state)
{
	struct host *a = start(0);

	(void)state;
	SOON(driven(a) == UPSTREAMS);
	struct host *b = start(1);
	IN_TIME(driven(a) == 2 && driven(b) == 2);
	for (unsigned u = 0; u < UPSTREAMS; u++)
		assert_true(drives(a, u) != drives(b, u));
	pass(20); /* and that is all */
	assert_int_equal(left(a), 2);
	assert_int_equal(left(b), 0);
}

static void what_is_free_is_shared_at_once(void **state)
{
	(void)state;
	start_as(0, true);
	start_as(1, true);
	pass(2); /* each has seen the other */
	node_upstreams(hosts[0].node, names, UPSTREAMS);
	node_upstreams(hosts[1].node, names, UPSTREAMS);
	SOON(driven(&hosts[0]) == 2 && driven(&hosts[1]) == 2);
	assert_int_equal(left(&hosts[0]) + left(&hosts[1]), 0);
}

static void one_of_role_api_takes_none(void **state)
{
	size_t n;

	(void)state;
	start_as(0, false);
	node_upstreams(hosts[0].node, names, UPSTREAMS);
	pass(10);
	assert_int_equal(driven(&hosts[0]), 0);
	struct host *b = start(1);
	SOON(driven(b) == UPSTREAMS); /* and waits for nobody to take its share */
	pass(10);
	assert_int_equal(left(b), 0);
	struct node_seen *seen = node_list(b->node, &n);
	assert_int_equal(n, 2);
	assert_int_equal(node_is_api(&seen[0]) + node_is_api(&seen[1]), 1);
	free(seen);
}

static void what_another_does_not_have_comes_back_and_stays(void **state)
{
	struct host *a = start(0);

	(void)state;
	SOON(driven(a) == UPSTREAMS);
	start_as(1, true);
	node_upstreams(hosts[1].node, names, 1);
	IN_TIME(driven(&hosts[1]) == 1);
	pass(60); /* each of the others is tried once */
	assert_int_equal(driven(a), 3);
	assert_int_equal(driven(&hosts[1]), 1);
	assert_int_equal(left(a), 4);
}

/* ---- ends ---- */

static void a_dead_ones_are_taken_after_its_lease(void **state)
{
	struct host *a = start(0), *b = start(1);

	(void)state;
	IN_TIME(driven(a) == 2 && driven(b) == 2);
	pass(6); /* b has held its lease for so long that it may bury */
	uint64_t a_id = node_owner(a->node).node;
	int64_t left_s = hand("SELECT floor(extract(epoch FROM lease_until -"
			      " (SELECT now FROM test_clock))) FROM nodes WHERE id = %lld",
			      (long long)a_id);
	dies(a);
	pass((unsigned)left_s);
	assert_int_equal(driven(b), 2);
	assert_int_equal(hand("SELECT epoch FROM nodes WHERE id = %lld", (long long)a_id), 1);
	pass(4);
	assert_int_equal(driven(b), UPSTREAMS);
	assert_int_equal(hand("SELECT epoch FROM nodes WHERE id = %lld", (long long)a_id), 2);
	assert_true(node_is_leader(b->node));
	struct host *c = start(2); /* a new one */
	IN_TIME(driven(b) == 2 && driven(c) == 2);
}

static void a_restart_on_its_directory_goes_on_at_once(void **state)
{
	struct host *a = start(0), *b = start(1);

	(void)state;
	IN_TIME(driven(a) == 2 && driven(b) == 2);
	struct owner before = node_owner(a->node);
	dies(a);
	start(0);
	SOON(driven(a) == 2 && driven(b) == 2);
	struct owner now = node_owner(a->node);
	assert_true(now.node != before.node);
	assert_int_equal(hand("SELECT epoch FROM nodes WHERE id = %lld", (long long)before.node),
			 2);
}

static void a_damaged_file_is_no_start_before(void **state)
{
	char path[PATH_MAX];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/node", hosts[0].dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("lowtide node\nid 12", f);
	fclose(f);
	start(0);
	SOON(driven(&hosts[0]) == UPSTREAMS);
	dies(&hosts[0]);
	start(0); /* whose file is whole */
	SOON(driven(&hosts[0]) == UPSTREAMS);
}

static void drained_it_gives_back_at_once(void **state)
{
	struct host *a = start(0), *b = start(1);

	(void)state;
	IN_TIME(driven(a) == 2 && driven(b) == 2);
	unsigned before = left(b); /* it may have been the first to take some */
	node_drain(a->node);
	SOON(driven(a) == 0 && driven(b) == UPSTREAMS);
	pass(10);
	assert_int_equal(driven(b), UPSTREAMS);
	assert_int_equal(left(b), before);
	node_close(TAKE(a->node));
	assert_int_equal(hand("SELECT count(*) FROM nodes WHERE epoch = 2"), 1);
}

static void what_is_in_flight_keeps_an_upstream(void **state)
{
	struct host *a = start(0);

	(void)state;
	SOON(driven(a) == UPSTREAMS);
	keep(a, true);
	struct host *b = start(1);
	IN_TIME(left(a) == 1);
	pass(10);
	assert_int_equal(left(a), 1); /* one at a time moves */
	assert_int_equal(driven(b), 0);
	keep(a, false);
	set_drives(a, "u1", false);
	node_released(a->node, "u1");
	IN_TIME(driven(b) == 2 && driven(a) == 2);
}

static void one_that_leaves_the_configuration_is_left(void **state)
{
	struct host *a = start(0);

	(void)state;
	SOON(driven(a) == UPSTREAMS);
	node_upstreams(a->node, names + 1, UPSTREAMS - 1);
	SOON(driven(a) == UPSTREAMS - 1 && !drives(a, 0));
	pass(10);
	assert_int_equal(driven(a), UPSTREAMS - 1);
	node_upstreams(a->node, names, UPSTREAMS);
	SOON(driven(a) == UPSTREAMS);
}

static void closed_it_leaves(void **state)
{
	struct host *a = start(0), *b = start(1);

	(void)state;
	IN_TIME(driven(a) == 2 && driven(b) == 2);
	node_close(TAKE(a->node));
	SOON(driven(b) == UPSTREAMS);
}

/* ---- the lease ---- */

static void without_the_database_the_lease_runs_out(void **state)
{
	struct host *a = start(0);
	char why[700];

	(void)state;
	SOON(driven(a) == UPSTREAMS);
	pass(10);
	int64_t deadline_us = node_deadline_us(a->node);
	assert_true(deadline_us > (int64_t)mono_now_us() + 9 * PROTOCOL_S);
	assert_true(deadline_us <= (int64_t)mono_now_us() + 14 * PROTOCOL_S);
	assert_true(node_is_leader(a->node));
	hand("ALTER TABLE nodes RENAME TO nodes_away");
	hand("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE"
	     " '%%nodes%%' AND pid <> pg_backend_pid()");
	pass_away(8);
	assert_true(node_is_well(a->node, why, sizeof(why)));
	pass_away(6);
	SOON(strstr((node_is_well(a->node, why, sizeof(why)), why), "any more. ") != NULL);
	assert_false(node_is_well(a->node, why, sizeof(why)));
	assert_false(node_is_leader(a->node));
	assert_true(node_deadline_us(a->node) <= deadline_us);
	pass_away(60);
	hand("ALTER TABLE nodes_away RENAME TO nodes");
	for (int i = 0; i < 40 && !node_is_well(a->node, why, sizeof(why)); i++) {
		pass_away(1); /* one that had begun before may fail yet */
		poll(NULL, 0, 50);
	}
	assert_true(node_is_well(a->node, why, sizeof(why))); /* nobody buried it */
	pass(2);
	assert_int_equal(atomic_load(&a->lost), 0);
	assert_int_equal(driven(a), UPSTREAMS);
	assert_int_equal(node_owner(a->node).epoch, 1);
}

static void buried_it_is_told_and_goes_on(void **state)
{
	struct host *a = start(0);

	(void)state;
	SOON(driven(a) == UPSTREAMS);
	struct owner me = node_owner(a->node);
	hand("UPDATE nodes SET epoch = epoch + 1, lease_until = '-infinity'");
	node_refused(a->node);
	SOON(atomic_load(&a->lost) == 1);
	assert_int_equal(a->owner_when_lost.epoch, 1);
	assert_string_equal(a->why_when_lost, "This node has no lease any more.");
	SOON(node_owner(a->node).epoch == 2);
	assert_true(node_owner(a->node).node == me.node);
	SOON(driven(a) == UPSTREAMS);
	pass(10);
	assert_int_equal(atomic_load(&a->lost), 1);
	assert_int_equal(hand("SELECT min(node_epoch) FROM upstream_leases"), 2);
}

static void without_its_row_it_enters_under_another_number(void **state)
{
	struct host *a = start(0);

	(void)state;
	SOON(driven(a) == UPSTREAMS);
	struct owner me = node_owner(a->node);
	hand("DELETE FROM upstream_leases");
	hand("DELETE FROM nodes");
	node_refused(a->node);
	SOON(atomic_load(&a->lost) == 1 && node_owner(a->node).node != me.node);
	SOON(driven(a) == UPSTREAMS);
	dies(a);
	start(0); /* DATA/node names the new number */
	SOON(driven(a) == UPSTREAMS);
}

static void only_the_smallest_leads(void **state)
{
	struct host *a = start(0), *b = start(1);

	(void)state;
	pass(3);
	bool a_is_less = node_owner(a->node).node < node_owner(b->node).node;
	assert_int_equal(node_is_leader(a->node), a_is_less);
	assert_int_equal(node_is_leader(b->node), !a_is_less);
}

/* ---- what goes along ---- */

static void the_floor_goes_with_the_lease(void **state)
{
	struct host *a = start(0);

	(void)state;
	for (uint64_t i = 1; i <= 3; i++)
		assert_int_equal(node_object_take(a->node), i);
	pass(6);
	assert_int_equal(hand("SELECT floor FROM nodes"), 1);
	node_object_decided(a->node, 1);
	node_object_decided(a->node, 3);
	pass(6);
	assert_int_equal(hand("SELECT floor FROM nodes"), 2);
	node_object_decided(a->node, 2);
	pass(6);
	assert_int_equal(hand("SELECT floor FROM nodes"), 4);
}

static void spans_and_batches_are_told_at_once(void **state)
{
	struct host *a = start(0);
	size_t n;

	(void)state;
	SOON(driven(a) == UPSTREAMS);
	pass(1);
	atomic_store(&a->told, 0);
	hand("NOTIFY lowtide_spans");
	SOON((atomic_load(&a->told) & TOLD_SPANS) != 0);
	hand("NOTIFY lowtide_batches");
	SOON((atomic_load(&a->told) & TOLD_BATCHES) != 0);
	pass(2);
	struct upstream_seen *seen = node_upstream_list(a->node, &n);
	assert_int_equal(n, UPSTREAMS);
	assert_true(seen[3].owner.node == node_owner(a->node).node);
	free(seen);
}

static unsigned heard(struct host *h, unsigned upstream, unsigned *ret_n)
{
	pthread_mutex_lock(&h->lock);
	unsigned units = h->heard[upstream];
	*ret_n = h->heard_n;
	pthread_mutex_unlock(&h->lock);
	return units;
}

/* At once where there were none, then forty times a second, and again while there are any. */
static void online_requests_are_told_to_others(void **state)
{
	struct host *a = start(0), *b = start(1);
	unsigned n;

	(void)state;
	IN_TIME(driven(a) == 2 && driven(b) == 2);
	node_online(a->node, "u1", 3);
	SOON(heard(b, 0, &n) == 3);
	assert_int_equal(n, 1);
	assert_true(b->heard_of == node_owner(a->node).node);
	node_online(a->node, "u1", 4); /* within 25 ms */
	node_online(a->node, "u1", 5);
	hand("NOTIFY lowtide_spans");
	SOON((atomic_load(&b->told) & TOLD_SPANS) != 0);
	assert_int_equal(heard(b, 0, &n), 3);
	pass(1);
	SOON(heard(b, 0, &n) == 5);
	assert_int_equal(n, 2);
	pass(3);
	SOON(heard(b, 0, &n) == 5 && n >= 3);
	node_online(a->node, "u1", 0);
	pass(1);
	SOON(heard(b, 0, &n) == 0);
	unsigned before = n;
	pass(5);
	(void)heard(b, 0, &n);
	assert_int_equal(n, before);
	(void)heard(a, 0, &n);
	assert_int_equal(n, 0); /* its own word is no news */
}

/* ---- what is logged while it is away ---- */

/* The limit behind the connection that closed is told, each once, and anew the next time. */
static void each_reason_is_logged_once(void **state)
{
	static struct node n;
	struct error closed, limit;

	(void)state;
	n.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	(void)!fail(&closed, ERR_UNAVAILABLE, "It closed.");
	(void)!fail(&limit, ERR_UNAVAILABLE, "No more.");
	log_set_level(LOG_INFO);
	log_seen_begin();
	for (int i = 0; i < 3; i++) {
		node_note(&n, FAULT_RENEW, &closed);
		node_note(&n, FAULT_LOOK, &limit);
	}
	node_note(&n, FAULT_RENEW, NULL);
	assert_int_equal(log_seen_count("node.back", ""), 0);
	node_note(&n, FAULT_LOOK, NULL);
	assert_int_equal(log_seen_count("node.away", "It closed."), 1);
	assert_int_equal(log_seen_count("node.away", "No more."), 1);
	node_note(&n, FAULT_RENEW, &limit);
	node_note(&n, FAULT_RENEW, NULL);
	log_seen_end();
	log_set_level(LOG_OFF);
	assert_int_equal(log_seen_count("node.away", "It closed."), 1);
	assert_int_equal(log_seen_count("node.away", "No more."), 2);
	assert_int_equal(log_seen_count("node.back", ""), 2);
}

static bool is_wanted(struct host *h, const char *model)
{
	pthread_mutex_lock(&h->lock);
	bool is = strcmp(h->wanted, model) == 0;
	pthread_mutex_unlock(&h->lock);
	return is;
}

static void models_are_wanted_by_others(void **state)
{
	struct host *a = start(0), *b = start(1);
	struct wanted_told told = { .node = node_owner(a->node).node, .model = "m 1" };

	(void)state;
	MUST(store_wanted_tell(db, &told, &err));
	SOON(is_wanted(b, "m 1"));
	snprintf(told.model, sizeof(told.model), "m 2");
	told.node = node_owner(b->node).node;
	MUST(store_wanted_tell(db, &told, &err));
	SOON(is_wanted(a, "m 2"));
	assert_true(is_wanted(b, "m 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_NODES(two_share_the_upstreams),
		WITH_NODES(what_is_free_is_shared_at_once),
		WITH_NODES(one_of_role_api_takes_none),
		WITH_NODES(what_another_does_not_have_comes_back_and_stays),
		WITH_NODES(a_dead_ones_are_taken_after_its_lease),
		WITH_NODES(a_restart_on_its_directory_goes_on_at_once),
		WITH_NODES(a_damaged_file_is_no_start_before),
		WITH_NODES(drained_it_gives_back_at_once),
		WITH_NODES(what_is_in_flight_keeps_an_upstream),
		WITH_NODES(one_that_leaves_the_configuration_is_left),
		WITH_NODES(closed_it_leaves),
		WITH_NODES(without_the_database_the_lease_runs_out),
		WITH_NODES(buried_it_is_told_and_goes_on),
		WITH_NODES(without_its_row_it_enters_under_another_number),
		WITH_NODES(only_the_smallest_leads),
		WITH_NODES(the_floor_goes_with_the_lease),
		WITH_NODES(spans_and_batches_are_told_at_once),
		WITH_NODES(online_requests_are_told_to_others),
		WITH_NODES(models_are_wanted_by_others),
		WITH_NODES(each_reason_is_logged_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
