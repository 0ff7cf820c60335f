/* test_driven.c: of several nodes one drives an upstream, and sends lines until its deadline. */
#include "servers.h"

#include "dispatch/dispatch_impl.h"
#include "dispatch/driven.h"
#include "upstream/upstream.h"

static int64_t deadline_us;

static int64_t deadline(void *ctx)
{
	assert_ptr_equal(ctx, &deadline_us);
	return deadline_us;
}

static void deadline_in(uint64_t ms)
{
	deadline_us = (int64_t)(client_fake_now_ms() + ms) * 1000;
}

static struct flow_view progress(const struct world_batch *b)
{
	struct flow_view v;

	flow_progress(b->flow, &v);
	return v;
}

static unsigned online_of(const struct world *w, const char *name)
{
	for (const struct upstream *u = w->dispatch->upstreams; u != NULL; u = u->next)
		if (strcmp(u->config.name, name) == 0)
			return u->slots.online;
	return UINT_MAX;
}

/* ---- calls that wait for dispatch ---- */

struct asked {
	struct dispatch *d;
	const char *name;
	bool (*ask)(struct dispatch *d, const char *name);
	char **list;
	size_t n;
	bool is;
	_Atomic bool done;
};

static void *asks(void *arg)
{
	struct asked *a = arg;

	if (a->ask != NULL)
		a->is = a->ask(a->d, a->name);
	else
		a->n = dispatch_driven_models(a->d, &a->list);
	a->done = true;
	return NULL;
}

static void turned(struct world *w, struct asked *a)
{
	pthread_t thread;

	a->d = w->dispatch;
	client_fake_until(w->client, client_fake_now_ms());
	assert_int_equal(pthread_create(&thread, NULL, asks, a), 0);
	while (!a->done) {
		dispatch_turn(w->dispatch);
		sched_yield();
	}
	pthread_join(thread, NULL);
	client_fake_until(w->client, FAKE_NEVER);
}

static bool is_idle(struct world *w, const char *upstream)
{
	struct asked a = { .name = upstream, .ask = dispatch_idle_upstream };

	turned(w, &a);
	return a.is;
}

static bool drives_well(struct dispatch *d, const char *model)
{
	return dispatch_drives_model(d, model, DRIVES_WELL);
}

static bool drives_model(struct world *w, const char *model)
{
	struct asked a = { .name = model, .ask = drives_well };

	turned(w, &a);
	return a.is;
}

static bool drives_hoped(struct dispatch *d, const char *model)
{
	return dispatch_drives_model(d, model, DRIVES_HOPED);
}

static bool hopes(struct world *w, const char *model)
{
	struct asked a = { .name = model, .ask = drives_hoped };

	turned(w, &a);
	return a.is;
}

/* The models, with a space behind each. */
static const char *models(struct world *w)
{
	static char text[256];
	struct asked a = { 0 };

	turned(w, &a);
	assert_non_null(a.list);
	text[0] = '\0';
	for (size_t i = 0; i < a.n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", a.list[i]);
	free(a.list);
	return text;
}

/* ---- who drives ---- */

static void lines_go_where_this_node_drives(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 2);
	dispatch_drives(w.dispatch, "a", false);
	struct world_batch *b = world_batch(&w, 40);
	world_run(&w, 3000);
	assert_int_equal(b->ended, 40);
	assert_int_equal(servers.of[0].lines, 0);
	assert_int_equal(servers.of[1].lines, 40);
	world_close(&w);
}

static void driven_later_it_gets_lines_then(void **state)
{
	struct scheduling_view v;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	dispatch_drives(w.dispatch, "a", false);
	struct world_batch *b = world_batch(&w, 10);
	world_run(&w, 5000);
	assert_int_equal(servers.of[0].lines, 0);
	assert_int_equal(progress(b).stall, STALL_ELSEWHERE);
	assert_string_equal(progress(b).text,
			    "other nodes drive the upstreams that serve its model");
	assert_true(dispatch_serves(w.dispatch, "m"));
	world_view(&w, &v);
	assert_int_equal(v.upstreams[0].state, STALL_ELSEWHERE);
	assert_true(v.upstreams[0].up && !v.upstreams[0].driven);
	assert_true(slice_is(v.upstreams[0].said, "another node drives it"));
	scheduling_view_done(&v);
	dispatch_drives(w.dispatch, "a", true);
	world_run(&w, 0);
	assert_int_equal(progress(b).stall, STALL_NONE);
	world_view(&w, &v);
	assert_true(v.upstreams[0].driven);
	scheduling_view_done(&v);
	world_run(&w, 3000);
	assert_int_equal(b->ended, 10);
	world_close(&w);
}

static void what_is_in_flight_ends(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.after_ms = 1000;
	struct world_batch *b = world_batch(&w, 40);
	w.disk_full = true;
	world_run(&w, 500);
	unsigned sent = servers.of[0].lines;
	assert_true(sent > 0);
	dispatch_drives(w.dispatch, "a", false);
	world_run(&w, 100);
	assert_false(is_idle(&w, "a"));
	world_run(&w, 5000);
	assert_int_equal(servers.of[0].lines, sent);
	assert_int_equal(b->ended, sent);
	assert_false(is_idle(&w, "a")); /* answered, and not durable */
	world_record(&w);
	assert_true(is_idle(&w, "a"));
	assert_true(is_idle(&w, "b")); /* there is none */
	world_close(&w);
}

/* Lines that failed there go to another, which is driven. */
static void lines_that_wait_go_elsewhere(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 2);
	dispatch_drives(w.dispatch, "b", false);
	servers.of[0].answer.status = 500;
	struct world_batch *b = world_batch(&w, 3);
	world_run(&w, 3000);
	assert_int_equal(b->ended, 0);
	assert_int_equal(progress(b).stall, STALL_DOWN); /* the one that counts */
	dispatch_drives(w.dispatch, "a", false);
	dispatch_drives(w.dispatch, "b", true);
	unsigned before = servers.of[0].lines;
	world_run(&w, 10000);
	assert_int_equal(servers.of[0].lines, before);
	assert_int_equal(b->ended, 3);
	assert_int_equal(servers.of[1].lines, 3);
	world_close(&w);
}

static void what_was_said_holds_for_those_to_come(void **state)
{
	struct upstream_config list[] = { server_config(0), server_config(1), server_config(2) };
	struct world w;

	(void)state;
	servers_open(&w, 1);
	dispatch_drives(w.dispatch, NULL, false);
	dispatch_drives(w.dispatch, "c", true);
	world_batch(&w, 20);
	world_run(&w, 1000);
	assert_int_equal(servers.n, 0);
	world_upstreams(&w, list, 3);
	world_run(&w, 3000);
	assert_int_equal(servers.of[0].lines + servers.of[1].lines, 0);
	assert_int_equal(servers.of[2].lines, 20);
	world_close(&w);
}

/* The list is renewed before dispatch has read that it drives one. */
static void one_that_is_taken_at_a_reload_begins_slowly(void **state)
{
	struct upstream_config a = server_config(0);
	struct world w;

	(void)state;
	servers_open(&w, 1);
	struct world_batch *b = world_batch(&w, 10);
	world_run(&w, 3000);
	assert_int_equal(b->ended, 10);
	dispatch_drives(w.dispatch, "a", false);
	world_run(&w, 1);
	const struct lane *lane = lanes_of(w.dispatch->upstreams);
	assert_false(lane_is_shut(lane));
	driven_set(&w.dispatch->driven, "a", true);
	world_upstreams(&w, &a, 1);
	assert_true(lane_is_shut(lane));
	world_close(&w);
}

/* ---- the deadline ---- */

static void past_the_deadline_no_line_is_sent(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	deadline_in(1000);
	dispatch_deadline(w.dispatch, deadline, &deadline_us);
	struct world_batch *b = world_batch(&w, 400);
	world_run(&w, 5000);
	unsigned sent = servers.of[0].lines;
	assert_true(sent >= 30 && sent <= 40);
	assert_int_equal(servers_count(0, 1000, 10000), 0);
	assert_int_equal(b->ended, sent);
	assert_int_equal(progress(b).stall, STALL_PAUSED);
	assert_non_null(strstr(progress(b).text, "no lease"));
	deadline_in(2000);
	world_run(&w, 1500);
	assert_true(servers.of[0].lines >= sent + 30);
	assert_int_equal(progress(b).stall, STALL_NONE);
	deadline_us = 0; /* it is lost at once */
	sent = servers.of[0].lines;
	world_run(&w, 1000);
	assert_int_equal(servers.of[0].lines, sent);
	world_close(&w);
}

/* What is answered and not durable holds up nothing; then begins to; then nothing else comes. */
static void answered_lines_gather_until_that_holds_up_what_is_sent(void **state)
{
	struct world w;
	bool seen[GATHER_ON + 1] = { false };

	(void)state;
	servers_open(&w, 1);
	deadline_in(600000);
	dispatch_deadline(w.dispatch, deadline, &deadline_us);
	w.disk_full = true;
	struct world_batch *b = world_batch(&w, 400);
	for (unsigned ms = 0; ms < 3000; ms++) {
		world_run(&w, 1);
		unsigned held = servers.of[0].lines; /* none of them is durable */
		seen[w.gather] = true;
		if (held > 0 && held == b->ended)
			assert_int_equal(w.gather, GATHER_NOT);
		else if (b->ended == 0)
			assert_int_equal(w.gather, GATHER_ON);
		else
			assert_int_not_equal(w.gather, GATHER_NOT);
	}
	assert_true(seen[GATHER_ON] && seen[GATHER_BRIEFLY] && seen[GATHER_NOT]);
	assert_true(b->ended < 400);
	world_record(&w);
	world_run(&w, 1);
	assert_int_equal(w.gather, GATHER_ON);
	world_close(&w);
}

static void one_after_the_other(const struct request *rq, struct fake_answer *ret)
{
	ret->after_ms = 100 + rq->line;
}

/* On a lane of which twice the limit is more than all of dispatch may have answered and not durable. */
static void lines_gather_until_dispatch_is_full_of_them(void **state)
{
	struct upstream_config list[] = { server_config(0) };
	struct world w;

	(void)state;
	list[0].concurrency = list[0].max_concurrency = 2000;
	servers_open_with(&w, WORLD_CONFIG, list, 1);
	servers.of[0].choose = one_after_the_other;
	deadline_in(600000);
	dispatch_deadline(w.dispatch, deadline, &deadline_us);
	w.disk_full = true;
	for (unsigned i = 0; i < 2; i++)
		world_batch(&w, WORLD_LINES_MAX);
	for (unsigned ms = 0; ms < 2000 && w.ended <= UNSYNCED_MAX; ms++) {
		world_run(&w, 1);
		enum outcome_gather wanted = w.ended < UNSYNCED_MAX / 4 * 3 ? GATHER_ON
					     : w.ended < UNSYNCED_MAX       ? GATHER_BRIEFLY
									    : GATHER_NOT;
		assert_int_equal(w.gather, wanted);
	}
	assert_true(w.ended > UNSYNCED_MAX);
	world_close(&w);
}

/* The connection takes longer than the lease runs. */
static void a_request_that_has_not_gone_out_by_then_does_not(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.connect_ms = 2000;
	deadline_in(1000);
	dispatch_deadline(w.dispatch, deadline, &deadline_us);
	struct world_batch *b = world_batch(&w, 4);
	world_run(&w, 2500);
	assert_int_equal(b->ended, 0);
	assert_true(is_idle(&w, "a"));
	assert_int_equal(progress(b).retried, 0);
	deadline_in(60000);
	servers.of[0].answer.connect_ms = 0;
	world_run(&w, 3000);
	assert_int_equal(b->ended, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(b->outcomes[i]->attempts, 1); /* that one never went out */
		assert_int_equal(b->outcomes[i]->fault, OUTCOME_ANSWERED);
	}
	world_close(&w);
}

/* ---- online requests ---- */

static int online_status;
static bool online_whole, online_released;

static void on_head(void *ctx, const struct exchange_head *h)
{
	(void)ctx;
	online_status = h->status;
}

static bool on_body(void *ctx, struct slice piece)
{
	(void)ctx;
	(void)piece;
	return true;
}

static void on_end(void *ctx, enum online_end how)
{
	(void)ctx;
	online_whole = how == ONLINE_WHOLE;
}

static void on_released(void *ctx)
{
	(void)ctx;
	online_released = true;
}

static void online_requests_go_all_the_same(void **state)
{
	static const struct online_ops ops = { on_head, on_body, on_end, on_released };
	struct online o = { .ops = &ops,
			    .endpoint = "/v1/chat/completions",
			    .model = SLICE("m"),
			    .body = SLICE("{}") };
	struct world w;

	(void)state;
	servers_open(&w, 1);
	deadline_us = 0;
	dispatch_deadline(w.dispatch, deadline, &deadline_us);
	dispatch_drives(w.dispatch, "a", false);
	world_batch(&w, 10);
	dispatch_online(w.dispatch, &o);
	world_run(&w, 1000);
	assert_true(online_whole);
	assert_int_equal(online_status, 200);
	assert_int_equal(servers.of[0].lines, 1); /* the online request */
	dispatch_online_release(w.dispatch, &o);
	world_run(&w, 1);
	assert_true(online_released);
	world_close(&w);
}

/* Whose own word it is, while it holds; where another drives, it is nothing to this node. */
static void those_of_other_nodes_count_where_this_one_drives(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 2);
	deadline_in(600000);
	dispatch_deadline(w.dispatch, deadline, &deadline_us);
	dispatch_drives(w.dispatch, "b", false);
	dispatch_online_heard(w.dispatch, 7, "a", 2);
	dispatch_online_heard(w.dispatch, 8, "a", 1);
	dispatch_online_heard(w.dispatch, 8, "b", 5);
	dispatch_online_heard(w.dispatch, 8, "no such", 5);
	world_run(&w, 1);
	assert_int_equal(online_of(&w, "a"), 3);
	assert_int_equal(online_of(&w, "b"), 0);
	dispatch_online_heard(w.dispatch, 7, "a", 0);
	world_run(&w, 1);
	assert_int_equal(online_of(&w, "a"), 1);
	world_run(&w, HEARD_MS + 1000); /* it is never heard of again */
	assert_int_equal(online_of(&w, "a"), 0);
	dispatch_online_heard(w.dispatch, 7, "a", UINT_MAX);
	world_run(&w, 1);
	assert_int_equal(online_of(&w, "a"), HEARD_UNITS_MAX);
	dispatch_drives(w.dispatch, "a", false);
	world_run(&w, 1);
	assert_int_equal(online_of(&w, "a"), 0);
	dispatch_drives(w.dispatch, "a", true);
	world_run(&w, 1);
	assert_int_equal(online_of(&w, "a"), HEARD_UNITS_MAX);
	world_close(&w); /* with them */
}

/* Lines leave them room: all that there is. */
static void lines_leave_those_of_other_nodes_room(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	deadline_in(600000);
	dispatch_deadline(w.dispatch, deadline, &deadline_us);
	struct world_batch *b = world_batch(&w, 400);
	for (unsigned s = 0; s < 3; s++) {
		dispatch_online_heard(w.dispatch, 7, "a", 64);
		world_run(&w, 1000);
	}
	unsigned beside = b->ended;
	dispatch_online_heard(w.dispatch, 7, "a", 0);
	world_run(&w, 3000);
	assert_true(b->ended > 3 * beside + 10);
	world_close(&w);
}

/* What this node sends where another drives is for others to know. */
static void online_requests_where_others_drive_are_told(void **state)
{
	static const struct online_ops ops = { on_head, on_body, on_end, on_released };
	struct online o = { .ops = &ops,
			    .endpoint = "/v1/chat/completions",
			    .model = SLICE("m"),
			    .units = 3,
			    .body = SLICE("{}") };
	struct world w;

	(void)state;
	servers_open(&w, 1);
	deadline_in(600000);
	dispatch_deadline(w.dispatch, deadline, &deadline_us);
	dispatch_drives(w.dispatch, "a", false);
	world_run(&w, 1);
	dispatch_online(w.dispatch, &o);
	world_run(&w, 1);
	assert_int_equal(w.online_told, 3);
	world_run(&w, 1000);
	assert_true(online_whole);
	assert_int_equal(w.online_told, 0);
	assert_int_equal(w.online_tells, 2);
	dispatch_online_release(w.dispatch, &o);
	world_run(&w, 1);
	world_close(&w);
}

/* One that a reload has retired, and the one that took its name. */
static void those_of_one_name_are_told_together(void **state)
{
	static const struct online_ops ops = { on_head, on_body, on_end, on_released };
	static char other_key[] = "sk-other";
	struct upstream_config other = server_config(0);
	struct online of[2];
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.after_ms = 1000;
	deadline_in(600000);
	dispatch_deadline(w.dispatch, deadline, &deadline_us);
	dispatch_drives(w.dispatch, "a", false);
	for (unsigned i = 0; i < 2; i++) {
		of[i] = (struct online){ .ops = &ops,
					 .endpoint = "/v1/chat/completions",
					 .model = SLICE("m"),
					 .units = 3 + i,
					 .body = SLICE("{}") };
		dispatch_online(w.dispatch, &of[i]);
		world_run(&w, 400);
		assert_int_equal(w.online_told, i == 0 ? 3 : 7);
		other.api_key = other_key;
		world_upstreams(&w, &other, 1);
	}
	world_run(&w, 300); /* the first, which the retired one has */
	assert_int_equal(w.online_told, 4);
	world_run(&w, 1000);
	assert_int_equal(w.online_told, 0);
	for (unsigned i = 0; i < 2; i++)
		dispatch_online_release(w.dispatch, &of[i]);
	world_run(&w, 1);
	world_close(&w);
}

/* ---- which models ---- */

static void models_are_those_of_driven_upstreams(void **state)
{
	static char a1[] = "a1", b1[] = "b1", both[] = "both";
	static char *of_a[] = { a1, both, NULL }, *of_b[] = { both, b1, NULL };
	struct upstream_config list[] = { server_config(0), server_config(1), server_config(2) };
	struct world w;

	(void)state;
	list[0].models = of_a;
	list[1].models = of_b;
	servers_open_with(&w, WORLD_CONFIG, list, 2);
	assert_string_equal(models(&w), "a1 b1 both ");
	dispatch_drives(w.dispatch, "a", false);
	assert_string_equal(models(&w), "b1 both ");
	assert_true(drives_model(&w, "b1"));
	assert_false(drives_model(&w, "a1"));
	assert_false(drives_model(&w, "any"));

	servers.of[2].models = "{\"data\":[{\"id\":\"c1\"}]}";
	servers.of[2].health = 200;
	world_upstreams(&w, list, 3); /* c has no list: it takes any name that nobody lists */
	world_run(&w, 3000);
	assert_string_equal(models(&w), "b1 both c1 ");
	assert_true(drives_model(&w, "any"));
	assert_false(drives_model(&w, "a1")); /* which a lists */
	world_batch_of(&w, "mine", 1);
	world_run(&w, 500);
	assert_string_equal(models(&w), "b1 both c1 mine ");
	dispatch_drives(w.dispatch, "c", false);
	assert_string_equal(models(&w), "b1 both ");
	assert_false(drives_model(&w, "any"));
	world_close(&w);
}

static void one_that_is_down_serves_nothing(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].unreachable = true;
	world_batch(&w, 4);
	world_run(&w, 3000);
	assert_string_equal(models(&w), "");
	servers.of[0].unreachable = false;
	servers.of[0].health = 200;
	world_run(&w, 10000);
	assert_string_equal(models(&w), "m ");
	world_close(&w);
}

/* No line is here to find out with: the health call is enough to take one for that. */
static void one_that_says_that_it_is_well_may_be_tried(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].unreachable = true;
	struct world_batch *b = world_batch(&w, 4);
	world_run(&w, 3000);
	world_drop(&w, b);
	assert_false(drives_model(&w, "m"));
	servers.of[0].unreachable = false;
	servers.of[0].health = 200;
	world_run(&w, 10000);
	assert_true(drives_model(&w, "m"));
	world_close(&w);
}

/* Its lines may go elsewhere after a while. Without any, somebody has to find out that it is back. */
static void an_upstream_that_is_down_is_hoped_for_a_while(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	struct world_batch *b = world_batch(&w, 40);
	servers.of[0].unreachable = true;
	world_run(&w, 2000);
	assert_true(hopes(&w, "m"));
	assert_false(drives_model(&w, "m"));
	world_run(&w, DRIVES_HOPE_MS + 1000);
	assert_false(hopes(&w, "m"));
	assert_false(drives_model(&w, "m"));
	world_drop(&w, b); /* it is not probed any more */
	world_run(&w, 40000);
	assert_true(drives_model(&w, "m"));
	servers.of[0].unreachable = false;
	servers.of[0].answer.after_ms = 3000;
	b = world_batch(&w, 4);
	world_run(&w, 2000);
	assert_true(hopes(&w, "m")); /* a line is in flight that may find it up */
	world_run(&w, 5000);
	assert_int_equal(b->ended, 4);
	assert_true(hopes(&w, "m") && drives_model(&w, "m"));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_go_where_this_node_drives),
		cmocka_unit_test(driven_later_it_gets_lines_then),
		cmocka_unit_test(what_is_in_flight_ends),
		cmocka_unit_test(lines_that_wait_go_elsewhere),
		cmocka_unit_test(what_was_said_holds_for_those_to_come),
		cmocka_unit_test(one_that_is_taken_at_a_reload_begins_slowly),
		cmocka_unit_test(past_the_deadline_no_line_is_sent),
		cmocka_unit_test(answered_lines_gather_until_that_holds_up_what_is_sent),
		cmocka_unit_test(lines_gather_until_dispatch_is_full_of_them),
		cmocka_unit_test(a_request_that_has_not_gone_out_by_then_does_not),
		cmocka_unit_test(online_requests_go_all_the_same),
		cmocka_unit_test(an_upstream_that_is_down_is_hoped_for_a_while),
		cmocka_unit_test(those_of_other_nodes_count_where_this_one_drives),
		cmocka_unit_test(lines_leave_those_of_other_nodes_room),
		cmocka_unit_test(online_requests_where_others_drive_are_told),
		cmocka_unit_test(those_of_one_name_are_told_together),
		cmocka_unit_test(models_are_those_of_driven_upstreams),
		cmocka_unit_test(one_that_is_down_serves_nothing),
		cmocka_unit_test(one_that_says_that_it_is_well_may_be_tried),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
