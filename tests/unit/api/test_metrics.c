/* /metrics: every metric, in its order; upstreams that are going are left out. */
#include "unit.h"

#include "api/metrics.h"
#include "view_unit.h"

#define HEAD(name, type, help) "# HELP " name " " help "\n# TYPE " name " " type "\n"

static const char expected[] = HEAD("lowtide_build_info", "gauge",
				    "The version of lowtide that runs.")          //
	"lowtide_build_info{version=\"0.1\"} 1\n"                                 //
	HEAD("process_resident_memory_bytes", "gauge", "Resident memory.")        //
	"process_resident_memory_bytes 4096\n"                                    //
	HEAD("process_cpu_seconds_total", "counter", "User and system CPU time.") //
	"process_cpu_seconds_total 1.235\n"                                       //
	HEAD("process_open_fds", "gauge", "Open file descriptors.")               //
	"process_open_fds 9\n"                                                    //
	HEAD("process_max_fds", "gauge", "File descriptors that may be open.")    //
	"process_max_fds 1024\n"                                                  //
	HEAD("lowtide_http_connections", "gauge", "Open connections of clients.") //
	"lowtide_http_connections 2\n"                                            //
	HEAD("lowtide_http_requests_total", "counter", "Requests answered.")      //
	"lowtide_http_requests_total{route=\"GET /metrics\",code=\"2xx\"} 12\n"   //
	"lowtide_http_requests_total{route=\"other\",code=\"4xx\"} 1\n"           //
	HEAD("lowtide_upstream_up", "gauge",
	     "1 while the upstream takes requests, 0 while it is down.")                        //
	"lowtide_upstream_up{upstream=\"a\"} 1\n"                                               //
	HEAD("lowtide_upstream_down_total", "counter", "How often the upstream went down.")     //
	"lowtide_upstream_down_total{upstream=\"a\"} 2\n"                                       //
	HEAD("lowtide_upstream_in_flight", "gauge", "Requests in flight to the upstream.")      //
	"lowtide_upstream_in_flight{upstream=\"a\",kind=\"batch\"} 7\n"                         //
	"lowtide_upstream_in_flight{upstream=\"a\",kind=\"online\"} 1\n"                        //
	HEAD("lowtide_upstream_requests_total", "counter", "Requests sent to the upstream.")    //
	"lowtide_upstream_requests_total{upstream=\"a\",kind=\"batch\"} 100\n"                  //
	"lowtide_upstream_requests_total{upstream=\"a\",kind=\"online\"} 11\n"                  //
	HEAD("lowtide_upstream_answers_total", "counter", "How requests of batch lines ended.") //
	"lowtide_upstream_answers_total{upstream=\"a\",result=\"2xx\"} 90\n"                    //
	"lowtide_upstream_answers_total{upstream=\"a\",result=\"4xx\"} 1\n"                     //
	"lowtide_upstream_answers_total{upstream=\"a\",result=\"throttled\"} 2\n"               //
	"lowtide_upstream_answers_total{upstream=\"a\",result=\"5xx\"} 3\n"                     //
	"lowtide_upstream_answers_total{upstream=\"a\",result=\"broken\"} 4\n"                  //
	HEAD("lowtide_upstream_tokens_total", "counter",
	     "Tokens that batch lines took, prompt and answer.") //
	"lowtide_upstream_tokens_total{upstream=\"a\"} 98765\n"  //
	HEAD("lowtide_engine_requests", "gauge",
	     "What the engine's own metrics say of its load.")          //
	"lowtide_engine_requests{upstream=\"a\",state=\"running\"} 8\n" //
	"lowtide_engine_requests{upstream=\"a\",state=\"waiting\"} 2\n" //
	HEAD("lowtide_engine_cache_use", "gauge",
	     "The share of the engine's KV cache in use, as it says.") //
	HEAD("lowtide_concurrency_limit", "gauge",
	     "Requests that a model on an upstream may have in flight; models of one engine share one limit.") //
	"lowtide_concurrency_limit{upstream=\"a\",model=\"m \\\"1\\\"\"} 8.25\n" //
	"lowtide_concurrency_limit{upstream=\"a\",model=\"m2\"} 0\n"             //
	HEAD("lowtide_concurrency_limit_reason", "gauge",
	     "1 for the reason why the limit is what it is.") //
	"lowtide_concurrency_limit_reason{upstream=\"a\",model=\"m \\\"1\\\"\",reason=\"growing\"} 1\n" //
	"lowtide_concurrency_limit_reason{upstream=\"a\",model=\"m2\",reason=\"fixed\"} 1\n" //
	HEAD("lowtide_cross_traffic", "gauge",
	     "Requests on the engine that bypass lowtide.")                 //
	"lowtide_cross_traffic{upstream=\"a\",model=\"m \\\"1\\\"\"} 0.5\n" //
	"lowtide_cross_traffic{upstream=\"a\",model=\"m2\"} 0\n"            //
	HEAD("lowtide_online_reserve", "gauge",
	     "Slots kept free for online requests.")                       //
	"lowtide_online_reserve{upstream=\"a\",model=\"m \\\"1\\\"\"} 2\n" //
	"lowtide_online_reserve{upstream=\"a\",model=\"m2\"} 0\n"          //
	HEAD("lowtide_work_seconds", "gauge",
	     "Time for a unit of work (about a token) at that limit.")                        //
	"lowtide_work_seconds{upstream=\"a\",model=\"m \\\"1\\\"\"} 0.00025000000000000001\n" //
	"lowtide_work_seconds{upstream=\"a\",model=\"m2\"} 0\n"                               //
	HEAD("lowtide_batches", "gauge", "Batches in progress, by model.")                    //
	"lowtide_batches{model=\"m \\\"1\\\"\"} 3\n"                                          //
	"lowtide_batches{model=\"(others)\"} 1\n"                                             //
	HEAD("lowtide_lines_waiting_again", "gauge",
	     "Lines that failed and wait to be sent again, by model.")                            //
	"lowtide_lines_waiting_again{model=\"m \\\"1\\\"\"} 4\n"                                  //
	"lowtide_lines_waiting_again{model=\"(others)\"} 0\n"                                     //
	HEAD("lowtide_memory_bytes", "gauge", "Memory for what is on its way, of limits.memory.") //
	"lowtide_memory_bytes{use=\"online\"} 0\n"                                                //
	"lowtide_memory_bytes{use=\"calls\"} 1\n"                                                 //
	"lowtide_memory_bytes{use=\"uploads\"} 2\n"                                               //
	"lowtide_memory_bytes{use=\"streams\"} 3\n"                                               //
	"lowtide_memory_bytes{use=\"requests\"} 4\n"                                              //
	"lowtide_memory_bytes{use=\"answers\"} 5\n"                                               //
	HEAD("lowtide_memory_limit_bytes", "gauge", "limits.memory; 0: no limit.")                //
	"lowtide_memory_limit_bytes 65536\n"                                                      //
	HEAD("lowtide_online_requests", "gauge", "Online requests that have not ended.")          //
	"lowtide_online_requests 6\n"                                                             //
	HEAD("lowtide_online_waiting", "gauge", "Of these, those that wait for an upstream.")     //
	"lowtide_online_waiting 5\n" HEAD(
		"lowtide_webhook_attempts_total", "counter",
		"Attempts to send an event to its receiver, by how they ended.") "lowtide_webhook_attempts_total{result=\"taken\"} 7\n"
										 "lowtide_webhook_attempts_total{result=\"answered\"} 0\n"
										 "lowtide_webhook_attempts_total{result=\"timeout\"} 2\n"
										 "lowtide_webhook_attempts_total{result=\"unreachable\"} 0\n" HEAD("lowtide_webhook_given_up_total", "counter", "Events that their receiver did not take in 72 hours.") "lowtide_webhook_given_up_total 1\n" HEAD(
											 "lowtide_webhook_under_way",
											 "gauge",
											 "Attempts under way.") "lowtide_webhook_under_way 3\n" HEAD("lowtide_webhook_oldest_seconds",
																		     "gauge",
																		     "Age of the oldest event that its receiver has not taken; 0: there is none.") "lowtide_webhook_oldest_seconds 90\n" HEAD("lowtide_trace_spans_total",
																																	      "counter",
																																	      "Spans of traces, by what became of them.") //
	"lowtide_trace_spans_total{result=\"sent\"} 7\n" //
	"lowtide_trace_spans_total{result=\"dropped\"} 8\n";

static const char of_node[] = HEAD("lowtide_nodes", "gauge",
				   "Nodes whose lease runs, as this one sees them.") //
	"lowtide_nodes 3\n"                                                          //
	HEAD("lowtide_node_lease_seconds", "gauge",
	     "How long this node may still send without renewing its lease.")                  //
	"lowtide_node_lease_seconds 12.346\n"                                                  //
	HEAD("lowtide_node_leader", "gauge", "1 while this node does what one node is to do.") //
	"lowtide_node_leader 1\n"                                                              //
	HEAD("lowtide_node_upstreams_driven", "gauge", "Upstreams that this node drives.")     //
	"lowtide_node_upstreams_driven 2\n"                                                    //
	HEAD("lowtide_node_spans", "gauge", "Spans of batches that this node has.")            //
	"lowtide_node_spans 5\n"                                                               //
	HEAD("lowtide_node_buried_total", "counter",
	     "How often this node's lease ran out and others took what it had.") //
	"lowtide_node_buried_total 1\n"                                          //
	HEAD("lowtide_node_online_elsewhere", "gauge",
	     "Online requests of other nodes at upstreams that this node drives.") //
	"lowtide_node_online_elsewhere 2\n";

/* Without the lines of `text`, the heads alone. */
static void heads(const char *text, struct buf *to)
{
	for (; *text != '\0'; text += strcspn(text, "\n") + 1)
		if (*text == '#')
			buf_add(to, (struct slice){ text, strcspn(text, "\n") + 1 });
}

/* `f`'s text is the same, whatever the node is, and then `node`. */
static void is_with(const struct metrics_figures *f, bool has_lines)
{
	AUTO(buf_free) struct buf to = BUF(16384), all = BUF(16384);

	buf_text(&all, expected);
	if (has_lines)
		buf_text(&all, of_node);
	else
		heads(of_node, &all);
	buf_char(&all, '\0');
	metrics_write(&to, f, &unit_view);
	buf_char(&to, '\0');
	assert_false(to.failed || all.failed);
	assert_string_equal(to.p, all.p);
}

static void the_whole_text(void **state)
{
	struct metrics_figures f = {
		.version = "0.1",
		.resident_bytes = 4096,
		.fds = 9,
		.fds_max = 1024,
		.cpu_s = 1.2345678,
		.http_connections = 2,
		.answers = { { "GET /metrics", "2xx", 12 }, { "other", "4xx", 1 } },
		.answer_count = 2,
		.memory_limit_bytes = 65536,
		.webhooks = { .attempts = { [WEBHOOK_TAKEN] = 7, [WEBHOOK_TIMEOUT] = 2 },
			      .given_up = 1,
			      .under_way = 3,
			      .oldest_s = 90 },
		.spans_sent = 7,
		.spans_dropped = 8,
		.node = { .nodes = 3,
			  .lease_s = 12.3456,
			  .is_leader = true,
			  .driven = 2,
			  .spans = 5,
			  .buried = 1 },
	};

	(void)state;
	for (unsigned i = 0; i < BUDGET_KINDS; i++)
		f.memory[i] = (struct memory_row){ budget_label(i), i };
	is_with(&f, false);
	f.node.is_node = true;
	is_with(&f, true);
}

/* A node without a lease cannot tell how many there are. */
static void what_is_unknown_has_no_line(void **state)
{
	struct metrics_figures f = { .version = "0.1", .node = { .is_node = true, .nodes = NAN } };
	AUTO(buf_free) struct buf to = BUF(16384);

	(void)state;
	metrics_write(&to, &f, &unit_view);
	buf_char(&to, '\0');
	assert_null(strstr(to.p, "\nlowtide_nodes "));
	assert_non_null(strstr(to.p, "\nlowtide_node_lease_seconds 0.000\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_text),
		cmocka_unit_test(what_is_unknown_has_no_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
