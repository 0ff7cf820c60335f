/* Files, batches and lists as JSON: every member, nulls where nothing is. */
#include "unit.h"

#include "api/objects.h"

static void equals(struct buf *to, const char *expected)
{
	buf_char(to, '\0');
	assert_false(to->failed);
	assert_string_equal(to->p, expected);
	buf_free(to);
}

static void a_file(void **state)
{
	struct file f = { .id = "file-1", .bytes = 170, .created_at = 5, .filename = "a\"b.jsonl" };
	struct buf to = BUF(4096);

	(void)state;
	file_write(&to, &f);
	equals(&to, "{\"id\":\"file-1\",\"object\":\"file\",\"bytes\":170,\"created_at\":5,"
		    "\"filename\":\"a\\\"b.jsonl\",\"purpose\":\"batch\",\"status\":\"processed\","
		    "\"status_details\":null,\"expires_at\":null}");
	f.purpose = PURPOSE_BATCH_OUTPUT;
	f.expires_at = 7;
	file_write(&to, &f);
	buf_char(&to, '\0');
	assert_non_null(strstr(to.p, "\"purpose\":\"batch_output\""));
	assert_non_null(strstr(to.p, "\"expires_at\":7}"));
	buf_free(&to);
}

static void a_new_batch(void **state)
{
	struct batch_view v = { .row = { .id = "batch_1",
					 .endpoint = "/v1/x",
					 .input_file_id = "file-1",
					 .completion_window = "24h",
					 .created_at = 100,
					 .expires_at = 86500 } };
	struct buf to = BUF(4096);

	(void)state;
	batch_write(&to, &v);
	equals(&to,
	       "{\"id\":\"batch_1\",\"object\":\"batch\",\"endpoint\":\"/v1/x\",\"model\":null,"
	       "\"errors\":null,\"input_file_id\":\"file-1\",\"completion_window\":\"24h\","
	       "\"status\":\"validating\",\"output_file_id\":null,\"error_file_id\":null,"
	       "\"created_at\":100,\"expires_at\":86500,\"in_progress_at\":null,"
	       "\"finalizing_at\":null,\"completed_at\":null,\"failed_at\":null,"
	       "\"expired_at\":null,\"cancelling_at\":null,\"cancelled_at\":null,"
	       "\"request_counts\":{\"total\":0,\"completed\":0,\"failed\":0},"
	       "\"usage\":{\"input_tokens\":0,\"input_tokens_details\":{\"cached_tokens\":0},"
	       "\"output_tokens\":0,\"output_tokens_details\":{\"reasoning_tokens\":0},"
	       "\"total_tokens\":0},\"metadata\":null,"
	       "\"lowtide\":{\"pending\":0,\"running\":0,\"expired\":0,\"cancelled\":0,"
	       "\"retried\":0,\"rate_per_s\":0.000,\"eta_at\":null,\"at_risk\":false,"
	       "\"queue_position\":0,\"stall_reason\":null,\"stall_message\":null,"
	       "\"held_by\":null,\"cost\":null,\"top_errors\":[],"
	       "\"retried_from\":null}}");
}

static void result_files_show_once_the_state_is_final(void **state)
{
	struct batch_view v = { .row = { .output_file_id = "file-out", .error_file_id = "" } };

	(void)state;
	for (enum batch_status s = BATCH_VALIDATING; s < BATCH_STATUS_COUNT; s++) {
		struct buf to = BUF(4096);
		v.row.status = s;
		batch_write(&to, &v);
		buf_char(&to, '\0');
		assert_int_equal(strstr(to.p, "\"output_file_id\":\"file-out\"") != NULL,
				 batch_is_final(s));
		assert_non_null(strstr(to.p, "\"error_file_id\":null"));
		buf_free(&to);
	}
}

static void who_holds_it_until_it_is_final(void **state)
{
	static const char *const by[] = {
		[BATCH_GOES_ON] = "null", [BATCH_HELD] = "\"client\"", [BATCH_CANARY] = "\"canary\""
	};

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_LEN(by); i++) {
		struct batch_view v = { .row = { .status = i % 2 == 0 ? BATCH_IN_PROGRESS
								      : BATCH_CANCELLED,
						 .hold = (enum batch_hold)(i / 2) } };
		struct buf to = BUF(4096);
		char want[64];
		snprintf(want, sizeof(want), "\"held_by\":%s,", i % 2 == 0 ? by[i / 2] : "null");
		batch_write(&to, &v);
		buf_char(&to, '\0');
		assert_non_null(strstr(to.p, want));
		buf_free(&to);
	}
}

static void a_batch_that_ran(void **state)
{
	char model[] = "m", metadata[] = "{\"k\":\"v\"}", errors[] = "[{\"code\":null}]";
	struct batch_view v = {
		.row = { .status = BATCH_FAILED,
			 .retried_from = "batch_0",
			 .at = { [BATCH_IN_PROGRESS] = 1, [BATCH_FAILED] = 2 },
			 .model = model,
			 .metadata = metadata,
			 .errors = errors,
			 .counts = { .total = 9,
				     .completed = 1,
				     .failed = 2,
				     .expired = 3,
				     .cancelled = 4,
				     .retried = 5 },
			 .usage = { .input = 10,
				    .cached = 11,
				    .output = 12,
				    .reasoning = 13,
				    .total = 14 } },
		.pending = 6,
		.running = 7,
		.rate_per_s = 2.5,
		.eta_at = 99,
		.at_risk = true,
		.queue_position = 8,
		.stall = STALL_DOWN,
		.stall_message = "HTTP 503",
		.causes = { .n = 2,
			    .of = { { .code = 404, .count = 1, .line = 9 },
				    { .code = OUTCOME_TIMEOUT, .count = 3, .line = 4 } } },
	};
	static const char *const parts[] = {
		"\"model\":\"m\",\"errors\":{\"object\":\"list\",\"data\":[{\"code\":null}]},",
		"\"in_progress_at\":1,",
		"\"failed_at\":2,",
		"\"request_counts\":{\"total\":9,\"completed\":1,\"failed\":2}",
		("{\"input_tokens\":10,\"input_tokens_details\":{\"cached_tokens\":11},"
		 "\"output_tokens\":12,\"output_tokens_details\":{\"reasoning_tokens\":13},"
		 "\"total_tokens\":14}"),
		"\"metadata\":{\"k\":\"v\"}",
		("{\"pending\":6,\"running\":7,\"expired\":3,\"cancelled\":4,\"retried\":5,"
		 "\"rate_per_s\":2.500,\"eta_at\":99,\"at_risk\":true,\"queue_position\":8,"
		 "\"stall_reason\":\"upstream_down\",\"stall_message\":\"HTTP 503\","
		 "\"held_by\":null,\"cost\":null,\"top_errors\":[{\"code\":"
		 "\"request_timeout\",\"count\":3,\"example_line\":4},{\"code\":\"404\",\"count\":1,"
		 "\"example_line\":9}],\"retried_from\":\"batch_0\"}"),
	};
	struct buf to = BUF(4096);

	(void)state;
	batch_write(&to, &v);
	buf_char(&to, '\0');
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (strstr(to.p, parts[i]) == NULL)
			fail_msg("no %s in %s", parts[i], to.p);
	buf_free(&to);
}

static void lists(void **state)
{
	struct buf to = BUF(4096);

	(void)state;
	list_begin(&to);
	list_end(&to, NULL, NULL, false);
	equals(&to, "{\"object\":\"list\",\"data\":[],\"first_id\":null,\"last_id\":null,"
		    "\"has_more\":false}");
	list_begin(&to);
	for (size_t i = 0; i < 2; i++) {
		list_item(&to, i);
		buf_text(&to, "{}");
	}
	list_end(&to, "a", "b", true);
	equals(&to, "{\"object\":\"list\",\"data\":[{},{}],\"first_id\":\"a\",\"last_id\":\"b\","
		    "\"has_more\":true}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file),
		cmocka_unit_test(a_new_batch),
		cmocka_unit_test(result_files_show_once_the_state_is_final),
		cmocka_unit_test(who_holds_it_until_it_is_final),
		cmocka_unit_test(a_batch_that_ran),
		cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
