/* The verdict: each row of contract 7.2, their order, and what a file is spared that is good. */
#include "ingest_unit.h"

#include <fcntl.h>

#include "base/json.h"
#include "batch/override.h"
#include "blob_fake.h"
#include "ingest/verdict.h"

#define CHAT "/v1/chat/completions"
#define ID "\"custom_id\":\"a\""
#define METHOD "\"method\":\"POST\""
#define URL "\"url\":\"" CHAT "\""
#define BODY "\"body\":{\"model\":\"m\",\"messages\":[]}"
#define GOOD(id) "{\"custom_id\":\"" id "\"," METHOD "," URL "," BODY "}"
#define MODEL(id, model)                                                            \
	"{\"custom_id\":\"" id "\"," METHOD "," URL ",\"body\":{\"model\":\"" model \
	"\",\"messages\":[]}}"

/* ---- collecting findings as one text: "code line param message", a line each ---- */

static char found[1 << 16];
static size_t found_n;

static void note(void *ctx, const struct finding *f)
{
	(void)ctx;
	found_n += (size_t)snprintf(found + found_n, sizeof(found) - found_n, "%s %llu %s %s\n",
				    f->code, (unsigned long long)f->line,
				    f->param != NULL ? f->param : "-", f->message);
	assert_true(found_n < sizeof(found));
}

static const struct verdict_rules kimi = { .profile = PROFILE_KIMI,
					   .endpoint = CHAT,
					   .line_bytes = 600 };
static const struct verdict_rules openai = { .profile = PROFILE_OPENAI,
					     .endpoint = CHAT,
					     .line_bytes = 600 };

static void check(const struct verdict_rules *rules, const char *text, const char *want)
{
	struct ingest_limits limits = { .line_bytes = rules->line_bytes };
	struct ingested f = ingested_limited(slice_of(text), SIZE_MAX, &limits);
	struct error err;
	uint64_t count, any, lines = 0;

	found_n = 0;
	found[0] = '\0';
	if (!verdict_judge(f.index, f.blob, rules, note, NULL, &count, &err))
		fail_msg("%s", err.detail);
	assert_string_equal(found, want);
	for (size_t i = 0; i < found_n; i++)
		lines += found[i] == '\n';
	assert_int_equal(count, lines);
	assert_true(verdict_judge(f.index, f.blob, rules, NULL, NULL, &any, &err));
	assert_int_equal(any, count > 0);
	ingested_close(&f);
}

/* `lowtide check` also tells why a line is no JSON; where findings become JSON the reason is not
 * asked for. */
static struct json_fault last_fault;

static void note_fault(void *ctx, const struct finding *f)
{
	(void)ctx;
	assert_non_null(f->fault);
	last_fault = *f->fault;
}

static void a_line_that_is_no_json_has_a_reason(void **state)
{
	struct ingest_limits limits = { 0 };
	struct ingested f = ingested_limited(SLICE("\xef\xbb\xbf{\"custom_id\":\"a\",}\n"),
					     SIZE_MAX, &limits);
	struct error err;
	uint64_t count;

	(void)state;
	assert_true(verdict_judge(f.index, f.blob, &kimi, note_fault, NULL, &count, &err));
	assert_int_equal(count, 1);
	assert_int_equal(last_fault.column, 18); /* behind the byte order mark */
	assert_string_equal(last_fault.reason, "a comma is followed by }");
	ingested_close(&f);
}

static bool note_bad(void *ctx, uint64_t number, const struct index_record *r,
		     const struct finding *f, struct error *err)
{
	(void)err;
	assert_int_equal(r->line, f->line);
	assert_null(f->fault);
	found_n += (size_t)snprintf(found + found_n, sizeof(found) - found_n,
				    "%llu: ", (unsigned long long)number);
	note(ctx, f);
	return true;
}

/* `end` 0: all lines. */
static void check_bad_of(const struct verdict_rules *rules, const char *text, uint64_t first,
			 uint64_t end, const char *want, const char *model)
{
	struct ingested f = ingested_text(text);
	struct verdict_lines lines;
	struct error err;
	uint64_t bad = 0;

	found_n = 0;
	found[0] = '\0';
	if (end == 0)
		end = index_summary(f.index)->lines;
	assert_true(verdict_bad_lines(f.index, f.blob, rules, first, end, note_bad, NULL, &lines,
				      &err));
	assert_string_equal(found, want);
	for (size_t i = 0; i < found_n; i++)
		bad += found[i] == '\n';
	assert_int_equal(lines.bad, bad);
	if (model == NULL)
		assert_null(lines.model);
	else
		assert_string_equal(lines.model, model);
	ingested_close(&f);
}

static void check_bad(const struct verdict_rules *rules, const char *text, uint64_t first,
		      const char *want, const char *model)
{
	check_bad_of(rules, text, first, 0, want, model);
}

/* ---- each row ---- */

static void good_files_have_none(void **state)
{
	(void)state;
	check(&kimi, GOOD("a") "\n" GOOD("b") "\n", "");
	check(&openai, GOOD("a") "\n\n" GOOD("b"), "");
	check(&kimi, "{" ID "," BODY "}", "");
	check(&kimi, "{" ID ",\"method\":null,\"url\":null," BODY "}", "");
}

static void the_whole_file(void **state)
{
	static const char empty[] =
		"empty_file 0 - The input file is empty. Please ensure that the "
		"batch contains at least one request.\n";
	struct verdict_rules few = kimi;

	(void)state;
	check(&kimi, "", empty);
	check(&openai, "\r\n \n\xef\xbb\xbf",
	      "invalid_json_line 3 - This line is not parseable as "
	      "valid JSON.\n");
	check(&openai, "\xef\xbb\xbf\r\n \n", empty);
	few.lines_max = 2;
	check(&few, GOOD("a") "\n\n\n" GOOD("b"), "");
	check(&few, GOOD("a") "\n" GOOD("b") "\n" GOOD("c"),
	      "too_many_tasks 0 - The input file has 3 lines, more than the limit of 2 "
	      "(limits.lines_per_file).\n");
	check(&few, GOOD("a") "\nx\n" GOOD("c"),
	      "too_many_tasks 0 - The input file has 3 lines, more than the limit of 2 "
	      "(limits.lines_per_file).\n"
	      "invalid_json_line 2 - This line is not parseable as valid JSON.\n");
}

static void inputs_of_embeddings(void **state)
{
	static const char text[] =
		"{" ID "," METHOD
		",\"url\":\"/v1/embeddings\",\"body\":{\"model\":\"m\",\"input\":[\"a\",\"b\"]}}\n"
		"{\"custom_id\":\"b\"," METHOD
		",\"url\":\"/v1/embeddings\",\"body\":{\"model\":\"m\",\"input\":\"c\"}}\n";
	struct verdict_rules rules = openai;

	(void)state;
	rules.endpoint = "/v1/embeddings";
	rules.inputs_max = 3;
	check(&rules, text, "");
	rules.inputs_max = 2;
	check(&rules, text,
	      "too_many_tasks 0 - The input file has 3 inputs over all its lines, more "
	      "than the limit of 2 (limits.inputs_per_file).\n");
	rules.inputs_max = 0;
	check(&rules, text, "");
}

static void each_fault_of_a_line(void **state)
{
	char text[2000];

	(void)state;
	check(&kimi, "x\n[1]\n\"\xff\"",
	      "invalid_json_line 1 - This line is not parseable as valid JSON.\n"
	      "invalid_request 2 - Each line must be a JSON dictionary object\n"
	      "invalid_json_line 3 - This line is not parseable as valid JSON.\n");
	snprintf(text, sizeof(text), "%601s\n" GOOD("b"), "{}");
	check(&kimi, text,
	      "invalid_request 1 - This line is longer than the limit of 600 bytes "
	      "(limits.line_bytes).\n");
	check(&kimi, "{" BODY "}",
	      "missing_required_parameter 1 custom_id Missing required parameter: 'custom_id'.\n");
	check(&openai, "{" ID "," URL "," BODY "}",
	      "missing_required_parameter 1 method Missing required parameter: 'method'.\n");
	check(&openai, "{" ID "," METHOD "," BODY "}",
	      "missing_required_parameter 1 url Missing required parameter: 'url'.\n");
	check(&kimi, "{" ID "}",
	      "missing_required_parameter 1 body Missing required parameter: 'body'.\n");
	check(&kimi, "{\"custom_id\":1," BODY "}",
	      "invalid_type 1 custom_id Invalid type for 'custom_id': expected a string.\n");
	check(&kimi, "{" ID ",\"body\":[]}",
	      "invalid_type 1 body Invalid type for 'body': expected an object.\n");
	check(&kimi, "{\"custom_id\":\"\"," BODY "}",
	      "invalid_value 1 custom_id Invalid 'custom_id': it must have 1 to 512 bytes.\n");
	check(&kimi, "{" ID ",\"method\":\"GET\"," BODY "}",
	      "invalid_method 1 method Invalid value: 'GET'. Supported values are: 'POST'.\n");
	check(&kimi, "{" ID ",\"method\":7," BODY "}",
	      "invalid_method 1 method Invalid value: '7'. Supported values are: 'POST'.\n");
	check(&kimi, "{" ID ",\"url\":\"/v1/x\"," BODY "}",
	      "invalid_url 1 url The URL provided for this request does not match the batch "
	      "endpoint.\n");
	check(&kimi, "{" ID ",\"url\":5," BODY "}",
	      "invalid_url 1 url The URL provided for this request does not match the batch "
	      "endpoint.\n");
	check(&kimi, "{" ID ",\"body\":{\"messages\":[]}}",
	      "invalid_request 1 body.model Model parameter is required.\n");
	check(&kimi, "{" ID ",\"body\":{\"model\":\"m\"}}",
	      "invalid_request 1 body.messages Messages parameter is required.\n");
	check(&kimi, "{" ID ",\"body\":{\"model\":\"m\",\"messages\":[],\"stream\":true}}",
	      "streaming_unsupported 1 body.stream Chat Completions: Streaming is not supported in "
	      "the Batch API.\n");
}

static void duplicates_are_told_on_the_later_lines(void **state)
{
	(void)state;
	check(&kimi, GOOD("a") "\n" GOOD("b") "\n" GOOD("\\u0061") "\n" GOOD("a"),
	      "duplicate_custom_id 3 custom_id The custom_id 'a' for this request is a duplicate of "
	      "another request. The custom_id parameter must be unique for each request in a batch.\n"
	      "duplicate_custom_id 4 custom_id The custom_id 'a' for this request is a duplicate of "
	      "another request. The custom_id parameter must be unique for each request in a batch.\n");
	check(&kimi, GOOD("x\\u0000y") "\n" GOOD("x\\u0000y"),
	      "duplicate_custom_id 2 custom_id The custom_id 'x?y' for this request is a duplicate of "
	      "another request. The custom_id parameter must be unique for each request in a batch.\n");
}

static void options_that_refuse_more(void **state)
{
	struct verdict_rules strict = kimi, sampling = kimi;

	(void)state;
	strict.strict_lines = true;
	check(&strict, "{" ID "," BODY "}",
	      "missing_required_parameter 1 method Missing required parameter: 'method'.\n");
#define SAMPLED "{" ID ",\"body\":{\"model\":\"m\",\"messages\":[],\"top_p\":1}}"
	check(&kimi, SAMPLED, "");
	sampling.refuse_sampling = true;
	check(&sampling, SAMPLED,
	      "invalid_value 1 body.top_p The parameter 'top_p' cannot be set in a batch: leave it "
	      "out.\n");
}

static void other_endpoints(void **state)
{
#define COMPLETION        \
	"{" ID "," METHOD \
	",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\",\"prompt\":\"x\"}}"
	struct verdict_rules rules = openai;

	(void)state;
	rules.endpoint = "/v1/completions";
	check(&rules, COMPLETION, "");
	check(&openai, COMPLETION,
	      "invalid_url 1 url The URL provided for this request does not match the batch "
	      "endpoint.\n");
	check(&rules,
	      "{" ID "," METHOD
	      ",\"url\":\"\\/v1\\/completions\",\"body\":{\"model\":\"m\",\"stream\":1}}",
	      "streaming_unsupported 1 body.stream Streaming is not supported in the Batch API.\n");
	/* lowtide check: no batch says which */
	rules.endpoint = NULL;
	check(&rules, COMPLETION, "");
	check(&rules, GOOD("a"), "");
	check(&rules, GOOD("a") "\n" COMPLETION,
	      "invalid_url 2 url The URL provided for this request does not match the batch "
	      "endpoint.\n");
	rules.profile = PROFILE_KIMI;
	check(&rules, "{" ID ",\"body\":{\"model\":\"m\"}}",
	      "invalid_request 1 body.messages Messages parameter is required.\n");
}

/* Contract 7.1: url and endpoint may each be written as another vendor does. */
static void aliases_of_other_vendors(void **state)
{
#define WITH_URL(id, url) "{\"custom_id\":\"" id "\"," METHOD ",\"url\":\"" url "\"," BODY "}\n"
	static const char all[] = GOOD("a") "\n" WITH_URL("b", "/chat/completions")
		WITH_URL("c", "/v4/chat/completions") WITH_URL("d", "/openai/v1/chat/completions")
			WITH_URL("e", "\\/v4\\/chat\\/completions");
	static const char *const ways[] = { CHAT, "/chat/completions", "/v4/chat/completions",
					    "/openai/v1/chat/completions", NULL };
	struct verdict_rules rules = openai;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		rules.endpoint = ways[i];
		check(&rules, all, "");
		check(&rules, GOOD("a") "\n" WITH_URL("b", "/v4/embeddings"),
		      "invalid_url 2 url The URL provided for this request does not match the batch "
		      "endpoint.\n");
	}
	rules.endpoint = "/embeddings";
	check(&rules,
	      WITH_URL("a", "/v1/embeddings") WITH_URL("b", "/v4/embeddings")
		      WITH_URL("c", "/chat/completions"),
	      "invalid_url 3 url The URL provided for this request does not match the batch "
	      "endpoint.\n");
}

/* A whole URL is refused with the form that is wanted, also by `check`, which goes by the file. */
static void whole_urls_are_refused(void **state)
{
	struct verdict_rules rules = openai;

	(void)state;
	for (int given = 0; given < 2; given++) {
		rules.endpoint = given ? "/chat/completions" : NULL;
		check(&rules, WITH_URL("a", "https://api.openai.com/v1/chat/completions"),
		      "invalid_url 1 url The URL provided for this request does not match the batch "
		      "endpoint. Write the path alone: '/v1/chat/completions'.\n");
	}
}

/* More urls than a summary lists: those that it does not are judged by the line. */
static void aliases_beyond_the_summary(void **state)
{
	static char text[64000];
	size_t n = 0;

	(void)state;
	for (int i = 0; i <= INDEX_NAMES_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "{\"custom_id\":\"%d\"," METHOD ",\"url\":\"/v1/%d\"," BODY
				      "}\n",
				      i, i);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
			      WITH_URL("a", "/chat/completions"), WITH_URL("b", "/v4/embeddings"));
	struct ingested f = ingested_limited((struct slice){ text, n }, SIZE_MAX,
					     &(struct ingest_limits){ .line_bytes = 600 });
	struct error err;
	uint64_t count;
	found_n = 0;
	assert_true(verdict_judge(f.index, f.blob, &openai, note, NULL, &count, &err));
	assert_int_equal(count, INDEX_NAMES_MAX + 2); /* all but `a` */
	assert_non_null(strstr(found, "invalid_url 259 url"));
	assert_null(strstr(found, "invalid_url 258 url"));
	ingested_close(&f);
}

/* F3, F14: where no create has asked, the verdict does: `lowtide check`. */
static void an_endpoint_that_the_profile_lacks(void **state)
{
	static const char text[] = "{" ID "," METHOD
				   ",\"url\":\"/embeddings\",\"body\":{\"model\":\"m\"}}";
	struct verdict_rules rules = kimi;

	(void)state;
	rules.endpoint = NULL;
	rules.judges_endpoint = true;
	check(&rules, text,
	      "invalid_value 0 endpoint Invalid value: '/v1/embeddings'. Supported values are: '" CHAT
	      "'. '/v1/embeddings' is taken where the server is set to profile: openai.\n");
	check(&rules, GOOD("a"), "");
	rules.profile = PROFILE_OPENAI;
	check(&rules, text, "");
	rules.endpoint = "/v1/videos";
	check(&rules, "{" ID "," METHOD ",\"url\":\"/v1/videos\"," BODY "}",
	      "invalid_value 0 endpoint Invalid value: '/v1/videos'. Supported values are: '" CHAT
	      "', '/v1/completions', '/v1/embeddings', '/v1/responses', '/v1/moderations', "
	      "'/v1/rerank', '/v1/score', '/v1/messages'.\n");
}

/* V13: no client would fetch the answer. Only where there is such a thing; off is fine. */
static void background_mode(void **state)
{
#define RESPONSE(id, more)                                      \
	"{\"custom_id\":\"" id "\"," METHOD                     \
	",\"url\":\"/v1/responses\",\"body\":{\"model\":\"m\"," \
	"\"input\":\"x\"" more "}}\n"
	struct verdict_rules rules = openai;

	(void)state;
	rules.endpoint = "/v1/responses";
	check(&rules,
	      RESPONSE("a", ",\"background\":false") RESPONSE("b", ",\"background\":null")
		      RESPONSE("c", ",\"background\":true")
			      RESPONSE("d", ",\"background\":true,\"background\":false")
				      RESPONSE("e", ",\"background\":true,\"stream\":true"),
	      "background_unsupported 3 body.background Responses: Background mode is not supported "
	      "in the Batch API.\n"
	      "streaming_unsupported 5 body.stream Streaming is not supported in the Batch API.\n");
	check(&openai,
	      "{" ID "," METHOD "," URL
	      ",\"body\":{\"model\":\"m\",\"messages\":[],\"background\":true}}",
	      "");
}

/* ---- models ---- */

static void one_model_a_batch(void **state)
{
	(void)state;
	check(&kimi, MODEL("a", "m") "\n" MODEL("b", "\\u006d") "\n" MODEL("c", "n"),
	      "mismatched_model 3 body.model The model 'n' for this request does not match the rest of "
	      "the batch. Each batch must contain requests for a single model.\n");
	/* the first good line speaks for the batch */
	check(&kimi,
	      "{\"custom_id\":1,\"body\":{\"model\":\"bad\",\"messages\":[]}}\n" MODEL(
		      "a", "m") "\n" MODEL("b", "bad") "\n" MODEL("c", "m"),
	      "invalid_type 1 custom_id Invalid type for 'custom_id': expected a string.\n"
	      "mismatched_model 3 body.model The model 'bad' for this request does not match the rest "
	      "of the batch. Each batch must contain requests for a single model.\n");
	check(&kimi, MODEL("a", "m") "\n" MODEL("b", "M") "\nx\n",
	      "mismatched_model 2 body.model The model 'M' for this request does not match the rest of "
	      "the batch. Each batch must contain requests for a single model.\n"
	      "invalid_json_line 3 - This line is not parseable as valid JSON.\n");
}

/* Contract 11.1, mixed_models: so many models, and no more, in the order in which good lines name
 * them. */
static void several_models_a_batch(void **state)
{
	struct verdict_rules several = kimi;
	char text[2000];

	(void)state;
	several.mixed_models = true;
	several.models_max = 2;
	check(&several, MODEL("a", "m") "\n" MODEL("b", "n") "\n" MODEL("c", "m"), "");
	check(&several,
	      "{\"custom_id\":1,\"body\":{\"model\":\"bad\",\"messages\":[]}}\n" MODEL(
		      "a", "m") "\n" MODEL("b", "n") "\n" MODEL("c", "o") "\n" MODEL("d", "n"),
	      "invalid_type 1 custom_id Invalid type for 'custom_id': expected a string.\n"
	      "too_many_models 4 body.model The model 'o' for this request is one too many: the "
	      "requests of a batch may name 2 models, each of at most 256 bytes.\n");
	check_bad(&several, MODEL("a", "m") "\n" MODEL("b", "n"), 0, "", NULL);
	check_bad(&several, "x\n" MODEL("b", "n"), 0,
		  "0: invalid_json_line 1 - This line is not parseable as valid JSON.\n", "n");
	several.models_max = 0;
	check(&several, MODEL("a", "m") "\n" MODEL("b", "n") "\n" MODEL("c", "o"), "");
	/* one that is not listed cannot be told from others */
	snprintf(text, sizeof(text), MODEL("a", "m") "\n" MODEL("b", "%0300d"), 1);
	snprintf(found + sizeof(found) / 2, 1000,
		 "too_many_models 2 body.model The model '%0128d...' for this request is one too "
		 "many: the requests of a batch may name 256 models, each of at most 256 bytes.\n",
		 0);
	check(&several, text, strdupa(found + sizeof(found) / 2));
}

/* Names that the summary does not list, for they are too long or hold a NUL. */
static void models_with_odd_names(void **state)
{
	char text[2000], want[2000];

	(void)state;
	snprintf(text, sizeof(text), MODEL("a", "%0300d") "\n" MODEL("b", "%0300d"), 1, 1);
	check(&kimi, text, "");
	snprintf(text, sizeof(text),
		 MODEL("a", "%0300d") "\n" MODEL("b", "%0300d") "\n" MODEL("c", "m"), 1, 2);
	snprintf(
		want, sizeof(want),
		"mismatched_model 2 body.model The model '%0128d...' for this request does not match the "
		"rest of the batch. Each batch must contain requests for a single model.\n"
		"mismatched_model 3 body.model The model 'm' for this request does not match the "
		"rest of the batch. Each batch must contain requests for a single model.\n",
		0);
	check(&kimi, text, want);
	check(&kimi, MODEL("a", "m") "\n" MODEL("b", "m\\u0000"),
	      "mismatched_model 2 body.model The model 'm?' for this request does not match the "
	      "rest of the batch. Each batch must contain requests for a single model.\n");
	check(&kimi, MODEL("a", "m\\u0000") "\n" MODEL("b", "\\u006d\\u0000"), "");
}

static unsigned asked;

static bool serves_m(void *ctx, const char *model)
{
	asked++;
	assert_ptr_equal(ctx, &asked);
	return strcmp(model, "m") == 0;
}

static void models_that_nobody_serves(void **state)
{
	struct verdict_rules rules = kimi;
	char text[1000], want[1000];

	(void)state;
	rules.model_served = serves_m;
	rules.ctx = &asked;
	check(&rules, MODEL("a", "m") "\n" MODEL("b", "m"), "");
	asked = 0;
	check(&rules,
	      MODEL("a", "x") "\n" MODEL("b", "m") "\n" MODEL("c", "x") "\n" MODEL("d", "m"),
	      "model_not_found 1 body.model The provided model 'x' is not supported by the Batch API.\n"
	      "model_not_found 3 body.model The provided model 'x' is not supported by the Batch API.\n");
	assert_int_equal(asked, 4); /* twice for each model: judged with and without a function */
	snprintf(text, sizeof(text), MODEL("a", "%0300d") "\n" MODEL("b", "m"), 1);
	snprintf(want, sizeof(want),
		 "model_not_found 1 body.model The provided model '%0128d...' is not "
		 "supported by the Batch API.\n",
		 0);
	check(&rules, text, want);
}

/* ---- which of several faults ---- */

/* A line that has all faults from one on says that one; the fault is then mended. */
static void the_first_fault_in_the_order_of_the_table(void **state)
{
	static const struct {
		const char *line, *code, *param;
	} cases[] = {
		{ "{\"url\":5,\"body\":[]}", "missing_required_parameter", "custom_id" },
		{ "{\"custom_id\":1,\"url\":5,\"body\":[]}", "missing_required_parameter",
		  "method" },
		{ "{\"custom_id\":1,\"method\":\"X\",\"body\":[]}", "missing_required_parameter",
		  "url" },
		{ "{\"custom_id\":1,\"method\":\"X\",\"url\":5}", "missing_required_parameter",
		  "body" },
		{ "{\"custom_id\":1,\"method\":\"X\",\"url\":5,\"body\":[]}", "invalid_type",
		  "custom_id" },
		{ "{\"custom_id\":\"\",\"method\":\"X\",\"url\":5,\"body\":[]}", "invalid_type",
		  "body" },
		{ "{\"custom_id\":\"\",\"method\":\"X\",\"url\":5,\"body\":{\"stream\":1}}",
		  "invalid_value", "custom_id" },
		{ "{\"custom_id\":\"first\",\"method\":\"X\",\"url\":5,\"body\":{\"stream\":1}}",
		  "invalid_method", "method" },
		{ "{\"custom_id\":\"first\"," METHOD ",\"url\":5,\"body\":{\"stream\":1}}",
		  "invalid_url", "url" },
		{ "{\"custom_id\":\"first\"," METHOD "," URL ",\"body\":{\"stream\":1,\"n\":2}}",
		  "invalid_request", "body.model" },
		{ "{\"custom_id\":\"first\"," METHOD "," URL
		  ",\"body\":{\"model\":\"x\",\"stream\":1,\"n\":2}}",
		  "invalid_request", "body.messages" },
		{ "{\"custom_id\":\"first\"," METHOD "," URL
		  ",\"body\":{\"model\":\"x\",\"messages\":1,\"stream\":1,\"n\":2}}",
		  "streaming_unsupported", "body.stream" },
		{ "{\"custom_id\":\"first\"," METHOD "," URL
		  ",\"body\":{\"model\":\"x\",\"messages\":1,\"n\":2}}",
		  "invalid_value", "body.n" },
		{ MODEL("first", "x"), "duplicate_custom_id", "custom_id" },
		{ MODEL("second", "x"), "model_not_found", "body.model" },
	};
	struct verdict_rules rules = openai;
	char text[2000], want[200];

	(void)state;
	rules.refuse_sampling = true;
	rules.model_served = serves_m;
	rules.ctx = &asked;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err;
		uint64_t count;
		snprintf(text, sizeof(text), "%s\n%s", MODEL("first", "m"), cases[i].line);
		snprintf(want, sizeof(want), "%s 2 %s ", cases[i].code, cases[i].param);
		struct ingested f = ingested_text(text);
		found_n = 0;
		assert_true(verdict_judge(f.index, f.blob, &rules, note, NULL, &count, &err));
		if (count != 1 || strncmp(found, want, strlen(want)) != 0)
			fail_msg("%s: %s", cases[i].line, found);
		ingested_close(&f);
	}
}

/* ---- urls beyond the summary's room ---- */

static void more_urls_than_the_summary_lists(void **state)
{
	static char text[64000];
	struct verdict_rules rules = openai;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 300; i++)
		n += (size_t)sprintf(text + n,
				     "{\"custom_id\":\"%d\"," METHOD ",\"url\":\"/v1/%d\",\"body\":"
				     "{\"model\":\"m\"}}\n",
				     i, i);
	struct ingested f = ingested_text(text);
	assert_true(index_summary(f.index)->url_overflow);
	for (int listed = 0; listed < 2; listed++) {
		struct error err;
		uint64_t count;
		rules.endpoint = listed ? "/v1/7" : "/v1/280";
		found_n = 0;
		assert_true(verdict_judge(f.index, f.blob, &rules, note, NULL, &count, &err));
		assert_int_equal(count, 299);
		assert_null(strstr(found, listed ? " 8 " : " 281 "));
	}
	ingested_close(&f);
}

/* ---- errors.data ---- */

static void as_json(const char *text, const struct verdict_rules *rules, uint64_t want_count,
		    struct buf *to)
{
	struct ingested f = ingested_text(text);
	struct error err;
	uint64_t count;

	assert_true(verdict_errors(f.index, f.blob, rules, to, &count, &err));
	assert_int_equal(count, want_count);
	ingested_close(&f);
}

static void errors_are_an_array(void **state)
{
	AUTO(buf_free) struct buf to = BUF(1 << 20);

	(void)state;
	as_json(GOOD("a"), &kimi, 0, &to);
	assert_int_equal(to.n, 0);
	as_json("", &kimi, 1, &to);
	assert_true(
		slice_is(buf_slice(&to),
			 "[{\"code\":\"empty_file\",\"line\":null,\"message\":\"The input file is "
			 "empty. Please ensure that the batch contains at least one request.\","
			 "\"param\":null}]"));
	as_json("{" ID ",\"method\":\"\\\"\"," BODY "}\n[]", &kimi, 2, &to);
	assert_true(slice_is(
		buf_slice(&to),
		"[{\"code\":\"invalid_method\",\"line\":1,\"message\":\"Invalid value: '\\\"'. Supported "
		"values are: 'POST'.\",\"param\":\"method\"},{\"code\":\"invalid_request\",\"line\":2,"
		"\"message\":\"Each line must be a JSON dictionary object\",\"param\":null}]"));
	struct buf small = BUF(50);
	struct ingested f = ingested_text("x");
	struct error err;
	uint64_t count;
	assert_false(verdict_errors(f.index, f.blob, &kimi, &small, &count, &err));
	buf_free(&small);
	ingested_close(&f);
}

static void of_1500_bad_lines_1000_are_listed(void **state)
{
	static char text[200000];
	AUTO(buf_free) struct buf to = BUF(1 << 20);
	size_t n = 0;
	struct json j;
	struct slice entry;
	char want[200];

	(void)state;
	for (unsigned bad = 1000; bad <= 1500; bad += 1) {
		if (bad > 1001)
			bad = 1500;
		n = 0;
		for (unsigned i = 0; i < bad; i++)
			n += (size_t)sprintf(text + n, "%s\n", i % 3 == 0 ? "\nx" : "[]");
		as_json(text, &kimi, bad, &to);
		assert_int_equal(json_array_count(buf_slice(&to)), bad == 1000 ? 1000 : 1001);
	}
	json_init(&j, buf_slice(&to));
	assert_int_equal(json_next(&j), JSON_ARRAY);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(json_element(&j) && json_skip(&j, &entry));
		snprintf(want, sizeof(want), "\"line\":%u,",
			 i + i / 3 + (i % 3 != 0) + 1 + (i % 3 == 0));
		if (memmem(entry.p, entry.n, want, strlen(want)) == NULL)
			fail_msg("%s in %.*s", want, SLICE_ARG(entry));
	}
	assert_true(json_element(&j) && json_skip(&j, &entry));
	assert_true(slice_is(entry,
			     "{\"code\":\"too_many_errors\",\"line\":null,\"message\":\"The input "
			     "file has 1500 errors; the first 1000 of them are listed.\","
			     "\"param\":null}"));
}

static void long_quotes_are_cut_between_characters(void **state)
{
	static char text[20000];
	AUTO(buf_free) struct buf to = BUF(1 << 20);
	char unit[16];

	(void)state;
	for (size_t lead = 0; lead < 4; lead++) {
		for (int escaped = 0; escaped < 2; escaped++) {
			strcpy(unit, escaped ? "\\u4f60" : "\xe4\xbd\xa0");
			size_t n = (size_t)sprintf(text, "{" ID ",\"method\":\"%.*s", (int)lead,
						   "abc");
			for (int i = 0; i < 400; i++)
				n += (size_t)sprintf(text + n, "%s", unit);
			sprintf(text + n, "\"," BODY "}");
			as_json(text, &kimi, 1, &to);
			assert_null(memmem(to.p, to.n, "\xef\xbf\xbd", 3)); /* no half character */
			assert_non_null(memmem(to.p, to.n, "\xe4\xbd\xa0...'", 7));
			assert_true(to.n > 200 && to.n < 300);
		}
	}
}

/* E8: 1,000 findings that quote custom_ids of control characters were 3.2 MB. As promised in
 * verdict.h, whatever the characters are. */
static void a_thousand_quotes_are_bounded(void **state)
{
	static const char *const units[] = { "x",      "\\u0001",      "\\u0000",
					     "\\\"",   "\xe4\xbd\xa0", "\\ud83d\\ude00",
					     "\\ud800" };
	AUTO(buf_free) struct buf id = BUF(8192), text = BUF(8 << 20), to = BUF(16 << 20);

	(void)state;
	for (size_t u = 0; u < ARRAY_LEN(units); u++) {
		buf_clear(&id);
		buf_clear(&text);
		for (int i = 0; i < 128; i++)
			buf_text(&id, units[u]);
		for (int i = 0; i < 1003; i++)
			buf_printf(&text, "{\"custom_id\":\"%.*s\"," METHOD "," URL "," BODY "}\n",
				   SLICE_ARG(buf_slice(&id)));
		buf_char(&text, '\0');
		struct verdict_rules rules = openai;
		rules.line_bytes = 8192;
		as_json(text.p, &rules, 1002, &to);
		assert_true(to.n < 450000);
	}
}

/* ---- what is read ---- */

/* A good file's blob and records are not touched: with a blob that cannot be read the verdict
 * stands. */
static void a_good_file_is_judged_by_its_summary(void **state)
{
	struct ingested f = ingested_text(GOOD("a") "\n" GOOD("b"));
	struct blobs *fake = blob_fake_new();
	struct blob_reader *bad = blob_fake_reader(fake, SLICE(""));
	struct error err;
	uint64_t count;

	(void)state;
	blob_fake_fail_nth(fake, 1, EIO);
	assert_true(verdict_judge(f.index, bad, &openai, note, NULL, &count, &err));
	assert_int_equal(count, 0);
	ingested_close(&f);
	f = ingested_text(GOOD("a") "\n" GOOD("a"));
	assert_false(verdict_judge(f.index, bad, &openai, note, NULL, &count, &err));
	assert_int_equal(err.sys, EIO);
	ingested_close(&f);
	blob_reader_close(bad);
	blobs_close(fake);
}

/* Lines that a finding quotes are read from wherever they lie; a fault of any piece is told. */
static void quoted_lines_need_not_be_in_a_file(void **state)
{
	static const char text[] = GOOD("twice") "\n" GOOD("twice") "\n{\n" MODEL("x", "other");
	struct ingested f = ingested_text(text);
	struct blobs *fake = blob_fake_new();
	struct blob_reader *blob = blob_fake_reader(fake, slice_of(text));
	struct buf want = BUF(1 << 20);
	bool fired = true;
	struct error err;
	uint64_t count;

	(void)state;
	assert_true(verdict_errors(f.index, f.blob, &openai, &want, &count, &err));
	assert_int_equal(count, 3);
	blob_fake_read_most(fake, 10);
	for (unsigned nth = 1; fired; nth++) {
		struct buf got = BUF(1 << 20);
		blob_fake_fail_nth(fake, nth, EIO);
		bool ok = verdict_errors(f.index, blob, &openai, &got, &count, &err);
		fired = blob_fake_restore(fake);
		assert_int_equal(ok, !fired);
		if (ok)
			assert_true(slice_eq(buf_slice(&got), buf_slice(&want)));
		else
			assert_int_equal(err.sys, EIO);
		buf_free(&got);
	}
	buf_free(&want);
	blob_reader_close(blob);
	blobs_close(fake);
	ingested_close(&f);
}

/* ---- a batch that leaves out bad lines (11.1) ---- */

static void bad_lines_and_the_model_of_the_others(void **state)
{
#define NO_JSON "This line is not parseable as valid JSON.\n"
#define MIXED(model)                                                                               \
	"mismatched_model 3 body.model The model '" model "' for this request does not match the " \
	"rest of the batch. Each batch must contain requests for a single model.\n"
	static const char text[] = "x\n" MODEL("a", "m") "\n" MODEL("b", "n") "\n\ny";
	struct verdict_rules of_n = kimi;

	(void)state;
	check_bad(&kimi, GOOD("a") "\n" GOOD("b"), 0, "", "m");
	check_bad(&kimi, text, 0,
		  "0: invalid_json_line 1 - " NO_JSON
		  "2: " MIXED("n") "3: invalid_json_line 5 - " NO_JSON,
		  "m");
	check_bad(&kimi, text, 3, "3: invalid_json_line 5 - " NO_JSON, NULL);
	/* those of a part of the file */
	check_bad_of(&kimi, text, 0, 3, "0: invalid_json_line 1 - " NO_JSON "2: " MIXED("n"), "m");
	check_bad_of(&kimi, text, 1, 2, "", "m");
	check_bad_of(&kimi, text, 3, 3, "", NULL);
	check_bad(&kimi, "x", 0, "0: invalid_json_line 1 - " NO_JSON, NULL);
	/* the model was decided before */
	of_n.model = "n";
	check_bad(&of_n, "x\n\n" MODEL("a", "m") "\n" MODEL("b", "n"), 0,
		  "0: invalid_json_line 1 - " NO_JSON "1: " MIXED("m"), "n");
}

static bool is_served(void *ctx, const char *model)
{
	(void)ctx;
	return strcmp(model, "served") == 0;
}

/* 11.1, override: what is set in each body is not missed in a line, and judged once. */
static void what_is_overridden_is_no_fault_of_a_line(void **state)
{
#define LINE(id, body) "{\"custom_id\":\"" id "\"," METHOD "," URL ",\"body\":" body "}\n"
	static const char mixed[] = MODEL("a", "m") "\n" MODEL("b", "n") "\n" LINE(
		"c", "{\"messages\":[]}") LINE("d", "{\"model\":7,\"messages\":[]}");
	struct verdict_rules rules = kimi;
	unsigned n;

	(void)state;
	struct override *model = override_new("{\"model\":\"served\"}", &n),
			*other = override_new("{\"model\":\"other\",\"top_p\":1}", &n),
			*messages = override_new("{\"messages\":[],\"stream\":false}", &n);
	rules.model_served = is_served;
	rules.override = model;
	check(&rules, mixed, "");
	check_bad(&rules, mixed, 0, "", NULL);
	check(&rules, LINE("a", "{\"stream\":true}"),
	      "invalid_request 1 body.messages Messages parameter is required.\n");
	rules.override = other;
	rules.refuse_sampling = true;
	check(&rules, mixed,
	      "model_not_found 0 body.model The provided model 'other' is not supported by the Batch "
	      "API.\ninvalid_value 0 lowtide.override The parameter 'top_p' cannot be set in a "
	      "batch: leave it out.\n");
	rules = kimi;
	rules.override = messages;
	check(&rules, LINE("a", "{\"model\":\"m\",\"stream\":true}"), "");
	check(&rules, LINE("a", "{\"stream\":true}"),
	      "invalid_request 1 body.model Model parameter is required.\n");
	override_free(model);
	override_free(other);
	override_free(messages);
}

static bool refuse(void *ctx, uint64_t number, const struct index_record *r,
		   const struct finding *f, struct error *err)
{
	(void)ctx;
	(void)number;
	(void)r;
	(void)f;
	return fail_memory(err);
}

static void who_hears_of_bad_lines_may_end_it(void **state)
{
	struct ingested f = ingested_text("x\ny");
	struct verdict_lines lines;
	struct error err;

	(void)state;
	assert_false(verdict_bad_lines(f.index, f.blob, &kimi, 0, 2, refuse, NULL, &lines, &err));
	ingested_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_files_have_none),
		cmocka_unit_test(the_whole_file),
		cmocka_unit_test(a_line_that_is_no_json_has_a_reason),
		cmocka_unit_test(inputs_of_embeddings),
		cmocka_unit_test(each_fault_of_a_line),
		cmocka_unit_test(duplicates_are_told_on_the_later_lines),
		cmocka_unit_test(options_that_refuse_more),
		cmocka_unit_test(other_endpoints),
		cmocka_unit_test(aliases_of_other_vendors),
		cmocka_unit_test(whole_urls_are_refused),
		cmocka_unit_test(aliases_beyond_the_summary),
		cmocka_unit_test(an_endpoint_that_the_profile_lacks),
		cmocka_unit_test(background_mode),
		cmocka_unit_test(one_model_a_batch),
		cmocka_unit_test(several_models_a_batch),
		cmocka_unit_test(models_with_odd_names),
		cmocka_unit_test(models_that_nobody_serves),
		cmocka_unit_test(the_first_fault_in_the_order_of_the_table),
		cmocka_unit_test(more_urls_than_the_summary_lists),
		cmocka_unit_test(errors_are_an_array),
		cmocka_unit_test(of_1500_bad_lines_1000_are_listed),
		cmocka_unit_test(long_quotes_are_cut_between_characters),
		cmocka_unit_test(a_thousand_quotes_are_bounded),
		cmocka_unit_test(a_good_file_is_judged_by_its_summary),
		cmocka_unit_test(quoted_lines_need_not_be_in_a_file),
		cmocka_unit_test(bad_lines_and_the_model_of_the_others),
		cmocka_unit_test(what_is_overridden_is_no_fault_of_a_line),
		cmocka_unit_test(who_hears_of_bad_lines_may_end_it),
	};

	return cmocka_run_group_tests(tests, store_setup, store_teardown);
}
