/* test_watch.c: what is asked of an upstream beside its work: models, metrics, health. */
#include "world.h"

#include "limit/limit_impl.h"
#include "log_seen.h"

#define GOOD "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}"

/* How often each was asked, and what it answers: NULL is 404. */
static struct {
	unsigned slow_ms; /* that a GET takes; 0: 5 */
	unsigned metrics, models, health, lines, props, infos, old_infos;
	const char *metrics_text, *models_text, *props_text, *info_text;
	const char *metrics_next;     /* takes turns with metrics_text; NULL: it does not */
	uint64_t metrics_ms, line_ms; /* of the first */
	int health_status;
	bool down, old, loading;
} up;

static void on_poll(const struct fake_request *rq, struct fake_answer *ret)
{
	const char *text = NULL;

	if (url_ends(rq->url, "up.test/metrics")) {
		if (up.metrics++ == 0)
			up.metrics_ms = client_fake_now_ms();
		text = up.metrics_next != NULL && up.metrics % 2 == 0 ? up.metrics_next
								      : up.metrics_text;
	} else if (url_ends(rq->url, "up.test/props")) {
		up.props++;
		text = up.props_text;
	} else if (url_ends(rq->url, "up.test/server_info")) {
		up.infos++;
		text = up.old ? NULL : up.info_text;
	} else if (url_ends(rq->url, "up.test/get_server_info")) {
		up.old_infos++;
		text = up.info_text;
	} else if (url_ends(rq->url, "up.test/v1/models")) {
		up.models++;
		text = up.models_text;
	} else if (url_ends(rq->url, "up.test/health")) {
		up.health++;
		ret->status = up.health_status;
		return;
	}
	ret->body = text;
	ret->status = up.loading && up.props > 0 ? 503 : text != NULL ? 200 : 404;
}

static void on_request(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	(void)ctx;
	ret->after_ms = 5;
	if (strcmp(rq->method, "GET") == 0) {
		ret->after_ms = up.slow_ms > 0 ? up.slow_ms : 5;
		on_poll(rq, ret);
		return;
	}
	if (up.lines++ == 0)
		up.line_ms = client_fake_now_ms();
	ret->how = up.down ? EXCHANGE_UNREACHABLE : EXCHANGE_WHOLE;
	ret->body = GOOD;
	ret->after_ms = 1000;
}

static void world_begin(struct world *w)
{
	memset(&up, 0, sizeof(up));
	world_open(w, on_request, NULL);
}

static const struct upstream *the_upstream(const struct world *w)
{
	return w->dispatch->upstreams;
}

static void models_are_asked_for_every_minute(void **state)
{
	struct world w;
	AUTO(buf_free) struct buf text = BUF(4096);

	(void)state;
	world_begin(&w);
	up.models_text =
		"{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"owned_by\":\"x\",\"root\":\"/r\"}]}";
	world_run(&w, 30000);
	assert_int_equal(up.models, 1);
	world_run(&w, 31000);
	assert_int_equal(up.models, 2);
	dispatch_models(w.dispatch, &text);
	buf_char(&text, '\0');
	assert_non_null(strstr(text.p, "{\"id\":\"m\",\"object\":\"model\""));
	assert_non_null(strstr(text.p, "\"owned_by\":\"x\",\"root\":\"/r\"}"));
	world_close(&w);
}

static void what_is_of_no_use_is_asked_for_less_and_less(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.models_text = "rubbish";
	world_run(&w, 10000);
	assert_in_range(up.models, 3, 5); /* after 1, 2, 4 s ... */
	world_run(&w, 600000);
	assert_in_range(up.models, 12, 20);
	world_close(&w);
}

static void metrics_are_asked_for_while_lines_are_in_flight(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.metrics_text = "vllm:num_requests_running 3\nvllm:num_requests_waiting 1\n";
	world_run(&w, 5000);
	assert_int_equal(up.metrics, 0);
	world_batch(&w, 20);
	world_run(&w, 4000);
	assert_in_range(up.metrics, 12, 18); /* four a second */
	assert_true(the_upstream(&w)->has_gauges);
	assert_true(the_upstream(&w)->gauges.running == 3);
	up.metrics_text = NULL;
	world_run(&w, 900);
	assert_true(the_upstream(&w)->has_gauges); /* one failure is none */
	world_run(&w, 10000);
	assert_int_equal(w.ended, 20);
	unsigned asked = up.metrics;
	world_run(&w, 60000);
	assert_int_equal(up.metrics, asked);
	world_close(&w);
}

/* They come from the thread that gives the answers: 40 ms each, twice a second. */
static void slow_metrics_are_asked_for_less_often(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.metrics_text = "vllm:num_requests_running 3\nvllm:num_requests_waiting 1\n";
	up.slow_ms = 40;
	world_batch(&w, 20);
	world_run(&w, 4000);
	assert_in_range(up.metrics, 7, 8);
	world_close(&w);
}

static void health_is_asked_for_while_it_is_down(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.models_text = "{\"data\":[]}";
	up.health_status = 503;
	world_run(&w, 5000);
	assert_int_equal(up.health, 0);
	up.down = true;
	world_batch(&w, 8);
	world_run(&w, 20000);
	assert_in_range(up.health, 10, 20);
	assert_int_equal(w.ended, 0);
	up.down = false;
	up.health_status = 200;
	world_run(&w, 10000);
	assert_int_equal(w.ended, 8);
	unsigned asked = up.health;
	world_run(&w, 30000);
	assert_int_equal(up.health, asked);
	world_close(&w);
}

static void without_a_health_call_its_models_say_it(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.models_text = "{\"data\":[]}";
	up.health_status = 404;
	up.down = true;
	world_batch(&w, 8);
	world_run(&w, 10000);
	assert_int_equal(up.health, 1);
	assert_in_range(up.models, 5, 12);
	world_close(&w);
}

#define VLLM_TEXT "vllm:num_requests_running 3\nvllm:num_requests_waiting 1\n"
#define LLAMACPP_TEXT "llamacpp:requests_processing 4\nllamacpp:requests_deferred 1\n"
#define SGLANG_TEXT "sglang:num_running_reqs 4\nsglang:num_queue_reqs 1\n"

static void the_first_poll_is_sent_with_the_first_line(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.models_text = "{\"data\":[]}";
	up.metrics_text = VLLM_TEXT;
	world_run(&w, 5000);
	world_batch(&w, 20);
	world_run(&w, 100);
	assert_true(up.lines > 0);
	assert_true(up.metrics_ms <= up.line_ms);
	/* the reading knows when its poll was sent */
	assert_true(the_upstream(&w)->has_gauges);
	assert_int_equal(the_upstream(&w)->gauges_asked_us, up.metrics_ms * 1000);
	/* and again after a rest */
	world_run(&w, 20000);
	assert_int_equal(w.ended, 20);
	unsigned asked = up.metrics;
	world_batch(&w, 1);
	world_run(&w, 10);
	assert_int_equal(up.metrics, asked + 1);
	world_close(&w);
}

static void why_metrics_are_lost_is_said(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.metrics_text = VLLM_TEXT;
	world_batch(&w, 100);
	world_run(&w, 2000);
	log_seen_begin();
	up.metrics_text = "vllm:num_requests_running 1e18\nvllm:num_requests_waiting 1\n";
	world_run(&w, 10000);
	assert_false(the_upstream(&w)->has_gauges);
	assert_int_equal(log_seen_count("upstream.metrics_lost", "no engine can have"), 1);
	up.metrics_text = VLLM_TEXT;
	world_run(&w, 10000);
	assert_true(the_upstream(&w)->has_gauges);
	up.metrics_text = NULL;
	world_run(&w, 10000);
	assert_int_equal(log_seen_count("upstream.metrics_lost", "HTTP 404"), 1);
	log_seen_end();
	world_close(&w);
}

static void a_kind_that_changes_from_poll_to_poll_is_not_believed(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.metrics_text = VLLM_TEXT;
	world_batch(&w, 500);
	world_batch(&w, 500);
	world_run(&w, 2000);
	assert_int_equal(the_upstream(&w)->gauges.kind, GAUGES_VLLM);
	/* another engine, once */
	up.metrics_text = SGLANG_TEXT;
	world_run(&w, 70000);
	assert_int_equal(the_upstream(&w)->gauges.kind, GAUGES_SGLANG);
	log_seen_begin();
	up.metrics_next = VLLM_TEXT;
	world_run(&w, 2000);
	assert_false(the_upstream(&w)->has_gauges);
	unsigned asked = up.metrics;
	world_run(&w, 80000);
	assert_int_equal(up.metrics, asked);
	assert_int_equal(log_seen_count("upstream.metrics_lost", "changes from poll to poll"), 1);
	log_seen_end();
	world_close(&w);
}

static void it_is_believed_again_ten_minutes_later(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.metrics_text = VLLM_TEXT;
	up.metrics_next = SGLANG_TEXT;
	world_batch(&w, 20);
	world_run(&w, 2000);
	assert_int_equal(up.metrics, 3);
	assert_false(the_upstream(&w)->has_gauges);
	up.metrics_next = NULL;
	world_run(&w, 590000);
	world_batch(&w, 200);
	world_run(&w, 5000);
	assert_int_equal(up.metrics, 3);
	world_run(&w, 10000);
	assert_true(the_upstream(&w)->has_gauges);
	world_close(&w);
}

static void llama_cpp_is_asked_once_for_its_slots(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.models_text = "{\"data\":[{\"id\":\"m\",\"owned_by\":\"llamacpp\"}]}";
	up.props_text = "{\"total_slots\":4}";
	world_run(&w, 5000);
	/* without metrics, and without a line */
	assert_int_equal(upstream_engine(the_upstream(&w)), GAUGES_LLAMACPP);
	assert_int_equal(the_upstream(&w)->engine_slots, 4);
	world_run(&w, 200000);
	assert_int_equal(up.props, 1);
	up.metrics_text = LLAMACPP_TEXT;
	world_batch(&w, 8);
	world_run(&w, 1000);
	assert_true(the_upstream(&w)->gauges.slots == 4);
	world_run(&w, 20000);
	assert_int_equal(up.props, 1);
	/* it was down, and has other slots */
	up.down = true;
	up.health_status = 503;
	up.props_text = "{\"total_slots\":2}";
	world_batch(&w, 8);
	world_run(&w, 20000);
	up.down = false;
	up.health_status = 200;
	world_run(&w, 20000);
	assert_int_equal(up.props, 2);
	assert_int_equal(the_upstream(&w)->engine_slots, 2);
	/* another engine stands there now: these slots are not its own */
	up.metrics_text = VLLM_TEXT;
	world_batch(&w, 8);
	world_run(&w, 2000);
	assert_int_equal(the_upstream(&w)->engine_slots, 0);
	assert_true(the_upstream(&w)->gauges.slots < 0);
	world_close(&w);
}

static void sglang_is_asked_by_both_names(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.old = true;
	up.models_text = "{\"data\":[]}";
	up.metrics_text = SGLANG_TEXT;
	up.info_text = "{\"internal_states\":[{\"effective_max_running_requests_per_dp\":8}]}";
	world_batch(&w, 8);
	world_run(&w, 2000);
	assert_true(the_upstream(&w)->gauges.slots == 8);
	assert_int_equal(up.infos, 1);
	assert_int_equal(up.old_infos, 1);
	assert_int_equal(up.props, 0);
	world_close(&w);
}

/* They come beside the next reading. */
static void slots_repeat_no_reading(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.models_text = "{\"data\":[]}";
	up.metrics_text = SGLANG_TEXT;
	up.info_text = "{\"internal_states\":[{\"effective_max_running_requests_per_dp\":8}]}";
	world_batch(&w, 8);
	world_run(&w, 100);
	const struct engine *engine = &lanes_of(the_upstream(&w))->limit->engine;
	assert_int_equal(the_upstream(&w)->engine_slots, 8);
	assert_int_equal(up.metrics, 1);
	assert_int_equal(engine->gauges_us, (up.metrics_ms + 5) * 1000);
	world_run(&w, 300);
	assert_int_equal(up.metrics, 2);
	assert_true(engine->gauges.slots == 8);
	world_close(&w);
}

/* Nobody says which engine it is when it comes back, until its metrics do. */
static void slots_of_another_engine_do_not_outlast_it(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.models_text = "{\"data\":[]}";
	up.metrics_text = SGLANG_TEXT;
	up.info_text = "{\"internal_states\":[{\"effective_max_running_requests_per_dp\":8}]}";
	world_batch(&w, 500);
	world_run(&w, 2000);
	assert_int_equal(the_upstream(&w)->engine_slots, 8);
	up.metrics_text = NULL;
	up.down = true;
	up.health_status = 503;
	world_run(&w, 30000);
	assert_false(the_upstream(&w)->has_gauges);
	up.metrics_text = VLLM_TEXT;
	up.down = false;
	up.health_status = 200;
	world_run(&w, 10000);
	assert_true(the_upstream(&w)->has_gauges);
	assert_int_equal(the_upstream(&w)->engine_slots, 0);
	assert_true(the_upstream(&w)->gauges.slots < 0);
	world_close(&w);
}

/* There is no URL to ask it by: of so long a base, or without memory. */
static void slots_that_cannot_be_asked_for_are_put_off(void **state)
{
	static char name[] = "up", url[4096 - sizeof("/v1/models") + sizeof("/v1")];
	struct upstream_config config = { .name = name,
					  .base_url = url,
					  .weight = 1,
					  .concurrency = 4,
					  .max_concurrency = 8,
					  .metrics = GAUGES_SGLANG };
	struct world w;

	(void)state;
	memset(&up, 0, sizeof(up));
	snprintf(url, sizeof(url), "http://%0*u.up.test/v1",
		 (int)(sizeof(url) - sizeof("http://.up.test/v1")), 0u);
	world_open_with(&w, on_request, NULL, WORLD_CONFIG, &config, 1);
	up.info_text = "{\"internal_states\":[{\"effective_max_running_requests_per_dp\":8}]}";
	uint64_t until_ms = client_fake_now_ms() + 10000;
	unsigned turns = 0;
	client_fake_until(w.client, until_ms);
	for (; client_fake_now_ms() < until_ms && turns < 1000; turns++)
		dispatch_turn(w.dispatch);
	assert_in_range(turns, 5, 100);
	assert_int_equal(up.infos, 0);
	world_close(&w);
}

static void one_that_still_loads_is_asked_again(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.models_text = "{\"data\":[{\"id\":\"m\",\"owned_by\":\"llamacpp\"}]}";
	up.props_text = "{\"total_slots\":4}";
	up.loading = true;
	world_run(&w, 5000);
	assert_in_range(up.props, 2, 4); /* after 1, 2, 4 s ... */
	assert_int_equal(the_upstream(&w)->engine_slots, 0);
	up.loading = false;
	world_run(&w, 10000);
	assert_int_equal(the_upstream(&w)->engine_slots, 4);
	world_close(&w);
}

static void what_does_not_tell_its_slots_is_not_asked_again(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	up.models_text = "{\"data\":[{\"id\":\"m\",\"owned_by\":\"llamacpp\"}]}";
	up.metrics_text = VLLM_TEXT;
	log_seen_begin();
	world_run(&w, 200000);
	assert_int_equal(up.props, 1); /* 404 */
	assert_int_equal(log_seen_count("upstream.engine_slots", ""), 0);
	log_seen_end();
	assert_int_equal(the_upstream(&w)->engine_slots, 0);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(models_are_asked_for_every_minute),
		cmocka_unit_test(what_is_of_no_use_is_asked_for_less_and_less),
		cmocka_unit_test(metrics_are_asked_for_while_lines_are_in_flight),
		cmocka_unit_test(slow_metrics_are_asked_for_less_often),
		cmocka_unit_test(health_is_asked_for_while_it_is_down),
		cmocka_unit_test(without_a_health_call_its_models_say_it),
		cmocka_unit_test(the_first_poll_is_sent_with_the_first_line),
		cmocka_unit_test(why_metrics_are_lost_is_said),
		cmocka_unit_test(a_kind_that_changes_from_poll_to_poll_is_not_believed),
		cmocka_unit_test(it_is_believed_again_ten_minutes_later),
		cmocka_unit_test(llama_cpp_is_asked_once_for_its_slots),
		cmocka_unit_test(sglang_is_asked_by_both_names),
		cmocka_unit_test(slots_repeat_no_reading),
		cmocka_unit_test(slots_of_another_engine_do_not_outlast_it),
		cmocka_unit_test(slots_that_cannot_be_asked_for_are_put_off),
		cmocka_unit_test(one_that_still_loads_is_asked_again),
		cmocka_unit_test(what_does_not_tell_its_slots_is_not_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
