/* test_watch.c: what is asked of an upstream beside its work: models, metrics, health. */
#include "world.h"

#define GOOD "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}"

/* How often each was asked, and what it answers: NULL is 404. */
static struct {
	unsigned metrics, models, health, lines;
	const char *metrics_text, *models_text;
	int health_status;
	bool down;
} up;

static void on_poll(const struct fake_request *rq, struct fake_answer *ret)
{
	const char *text = NULL;

	if (url_ends(rq->url, "up.test/metrics")) {
		up.metrics++;
		text = up.metrics_text;
	} else if (url_ends(rq->url, "up.test/v1/models")) {
		up.models++;
		text = up.models_text;
	} else if (url_ends(rq->url, "up.test/health")) {
		up.health++;
		ret->status = up.health_status;
		return;
	}
	ret->body = text;
	ret->status = text != NULL ? 200 : 404;
}

static void on_request(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	(void)ctx;
	ret->after_ms = 5;
	if (strcmp(rq->method, "GET") == 0) {
		on_poll(rq, ret);
		return;
	}
	up.lines++;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(models_are_asked_for_every_minute),
		cmocka_unit_test(what_is_of_no_use_is_asked_for_less_and_less),
		cmocka_unit_test(metrics_are_asked_for_while_lines_are_in_flight),
		cmocka_unit_test(health_is_asked_for_while_it_is_down),
		cmocka_unit_test(without_a_health_call_its_models_say_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
