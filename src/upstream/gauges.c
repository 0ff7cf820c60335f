/* gauges.c: see gauges.h. One pass over the lines; a line is `name{labels} value timestamp`, where
 * labels and timestamp may be missing. What cannot be read so is passed over: a line of one series
 * is no reason to do without the others. */
#include "upstream/gauges.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/json.h"

#define NUMBER_MAX 63 /* bytes; no engine prints longer ones */
#define COUNTER_MAX 1e18

const char *const gauges_kind_words[] = { "auto", "none", "vllm", "sglang", "llamacpp", NULL };

enum gauge {
	WAITING,
	RUNNING,
	DEFERRED,
	CACHE,
	PREEMPTIONS,
	PREFIX_QUERIES,
	PREFIX_HITS,
	OUTPUT_TOKENS,
	GAUGES_N,
};

static const struct {
	const char *name;
	enum gauges_kind kind;
	enum gauge gauge;
} series_names[] = {
	{ "vllm:num_requests_waiting", GAUGES_VLLM, WAITING },
	{ "vllm:num_requests_running", GAUGES_VLLM, RUNNING },
	{ "vllm:num_requests_waiting_by_reason", GAUGES_VLLM, DEFERRED },
	{ "vllm:kv_cache_usage_perc", GAUGES_VLLM, CACHE },
	{ "vllm:gpu_cache_usage_perc", GAUGES_VLLM, CACHE },
	{ "vllm:num_preemptions_total", GAUGES_VLLM, PREEMPTIONS },
	{ "vllm:prefix_cache_queries_total", GAUGES_VLLM, PREFIX_QUERIES },
	{ "vllm:prefix_cache_hits_total", GAUGES_VLLM, PREFIX_HITS },
	{ "vllm:generation_tokens_total", GAUGES_VLLM, OUTPUT_TOKENS },
	{ "sglang:num_queue_reqs", GAUGES_SGLANG, WAITING },
	{ "sglang:num_running_reqs", GAUGES_SGLANG, RUNNING },
	{ "sglang:token_usage", GAUGES_SGLANG, CACHE },
	{ "sglang:num_retracted_requests_total", GAUGES_SGLANG, PREEMPTIONS },
	{ "sglang:prompt_tokens_total", GAUGES_SGLANG, PREFIX_QUERIES },
	{ "sglang:cached_tokens_total", GAUGES_SGLANG, PREFIX_HITS },
	{ "sglang:generation_tokens_total", GAUGES_SGLANG, OUTPUT_TOKENS },
	{ "llamacpp:requests_deferred", GAUGES_LLAMACPP, WAITING },
	{ "llamacpp:requests_processing", GAUGES_LLAMACPP, RUNNING },
	{ "llamacpp:kv_cache_usage_ratio", GAUGES_LLAMACPP, CACHE },
	{ "llamacpp:prompt_tokens_total", GAUGES_LLAMACPP, PREFIX_QUERIES },
	{ "llamacpp:prompt_tokens_cached_total", GAUGES_LLAMACPP, PREFIX_HITS },
	{ "llamacpp:tokens_predicted_total", GAUGES_LLAMACPP, OUTPUT_TOKENS },
};

/* Of one kind. */
struct told {
	double value[GAUGES_N];
	bool seen[GAUGES_N];
	bool typed[GAUGES_N]; /* there is a TYPE of it */
	bool impossible;      /* a request count was what no engine has */
};

struct labels {
	bool dp_rank, other_tp_rank; /* there is one; it is not 0 */
	bool repeated;               /* see gauges.h */
	bool deferred;               /* reason="deferred" */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_space(struct slice *s)
{
	while (s->n > 0 && is_space(*s->p)) {
		s->p++;
		s->n--;
	}
}

/* Takes the bytes before the first of `stops`, all if there is none. */
static struct slice take_until(struct slice *s, const char *stops)
{
	size_t n = 0;

	while (n < s->n && (s->p[n] == '\0' || strchr(stops, s->p[n]) == NULL))
		n++;
	assert(n <= s->n);
	struct slice taken = { s->p, n };
	s->p += n;
	s->n -= n;
	return taken;
}

static bool take(struct slice *s, char c)
{
	if (s->n == 0 || *s->p != c)
		return false;
	s->p++;
	s->n--;
	return true;
}

/* From behind the opening quote to behind the closing one; escapes stay as they are. */
static bool take_quoted(struct slice *s, struct slice *ret)
{
	size_t n = 0;

	while (n < s->n && s->p[n] != '"')
		n += s->p[n] == '\\' ? 2 : 1;
	if (n >= s->n)
		return false;
	assert(n < s->n);
	*ret = (struct slice){ s->p, n };
	s->p += n + 1;
	s->n -= n + 1;
	return true;
}

static void label_seen(struct labels *l, struct slice name, struct slice value)
{
	if ((slice_is(name, "priority") && value.n > 0) ||
	    (slice_is(name, "pp_rank") && !slice_is(value, "0")))
		l->repeated = true;
	else if (slice_is(name, "tp_rank") && !slice_is(value, "0"))
		l->other_tp_rank = true;
	else if (slice_is(name, "dp_rank"))
		l->dp_rank = true;
	else if (slice_is(name, "reason") && slice_is(value, "deferred"))
		l->deferred = true;
}

/* From behind the opening brace to behind the closing one. */
static bool take_labels(struct slice *s, struct labels *l)
{
	for (;;) {
		skip_space(s);
		if (take(s, '}'))
			break;
		struct slice name = take_until(s, "= \t\"}"), value;
		skip_space(s);
		if (!take(s, '='))
			return false;
		skip_space(s);
		if (!take(s, '"') || !take_quoted(s, &value))
			return false;
		label_seen(l, name, value);
		skip_space(s);
		if (!take(s, ',') && (s->n == 0 || *s->p != '}'))
			return false;
	}
	l->repeated |= l->other_tp_rank && !l->dp_rank;
	return true;
}

/* Decimal digits, and Prometheus's words for what is not finite: strtod() alone would take
 * hexadecimal digits and "nan(x)", too. */
static bool read_number(struct slice s, double *ret)
{
	char text[NUMBER_MAX + 1], *end;

	if (s.n == 0 || !slice_copy(s, text, sizeof(text)))
		return false;
	if (strspn(text, "0123456789+-.eE") != s.n && strcmp(text, "NaN") != 0 &&
	    strcmp(text, "+Inf") != 0 && strcmp(text, "-Inf") != 0)
		return false;
	*ret = strtod(text, &end);
	return *end == '\0';
}

static double most_of(enum gauge g)
{
	return g == CACHE ? 1 : g <= DEFERRED ? GAUGES_REQUESTS_MAX : COUNTER_MAX;
}

static void value_take(struct told *t, enum gauge g, double value)
{
	bool possible = isfinite(value) && value >= 0 && value <= most_of(g);

	if (!possible) {
		t->impossible |= g == WAITING || g == RUNNING;
		return;
	}
	if (g != CACHE)
		t->value[g] += value;
	else if (!t->seen[g] || value > t->value[g])
		t->value[g] = value;
	t->seen[g] = true;
	t->impossible |= g <= RUNNING && t->value[g] > GAUGES_REQUESTS_MAX;
}

/* Index into series_names; ARRAY_LEN(): it is none of them. */
static size_t series_find(struct slice name)
{
	size_t i = 0;

	while (i < ARRAY_LEN(series_names) && !slice_is(name, series_names[i].name))
		i++;
	return i;
}

/* Behind the "#": `TYPE name gauge`. */
static void comment_read(struct slice rest, struct told *told)
{
	skip_space(&rest);
	if (!slice_is(take_until(&rest, " \t"), "TYPE"))
		return;
	skip_space(&rest);
	size_t i = series_find(take_until(&rest, " \t\r"));
	if (i < ARRAY_LEN(series_names))
		told[series_names[i].kind].typed[series_names[i].gauge] = true;
}

static void line_read(struct slice line, struct told *told)
{
	struct labels labels = { 0 };
	double value;

	skip_space(&line);
	struct slice name = take_until(&line, "{ \t\r");
	if (slice_is(name, "#")) {
		comment_read(line, told);
		return;
	}
	size_t i = series_find(name);
	if (i == ARRAY_LEN(series_names))
		return;
	skip_space(&line);
	if (take(&line, '{') && !take_labels(&line, &labels))
		return;
	skip_space(&line);
	if (!read_number(take_until(&line, " \t\r"), &value))
		return;

	enum gauge g = series_names[i].gauge;
	enum gauges_kind kind = series_names[i].kind;
	if ((kind == GAUGES_SGLANG && labels.repeated) || (g == DEFERRED && !labels.deferred))
		return;
	value_take(&told[kind], g, value);
}

/* NULL: both request counts are told. Else why they are not; "": the kind is not in the text. */
static const char *fault_of(const struct told *t)
{
	bool waiting = t->seen[WAITING], running = t->seen[RUNNING];

	if (t->impossible)
		return "it tells a number of requests that no engine can have";
	if (waiting && running)
		return NULL;
	if (waiting)
		return "it tells how many requests wait, but not how many run";
	if (running)
		return "it tells how many requests run, but not how many wait";
	return t->typed[WAITING] && t->typed[RUNNING] ? NULL : "";
}

static double told_or_not(const struct told *t, enum gauge g)
{
	return t->seen[g] ? t->value[g] : -1;
}

/* llama.cpp counts apart what it read and what it had; older builds count what they read alone. */
static double queries_of(const struct told *t, enum gauges_kind kind)
{
	if (kind != GAUGES_LLAMACPP)
		return told_or_not(t, PREFIX_QUERIES);
	return t->seen[PREFIX_QUERIES] && t->seen[PREFIX_HITS]
		       ? t->value[PREFIX_QUERIES] + t->value[PREFIX_HITS]
		       : -1;
}

static struct gauges gauges_of(const struct told *t, enum gauges_kind kind)
{
	return (struct gauges){
		.kind = kind,
		.waiting = t->value[WAITING],
		.running = t->value[RUNNING],
		.deferred = fmin(t->value[DEFERRED], t->value[WAITING]),
		.cache = told_or_not(t, CACHE),
		.preemptions = told_or_not(t, PREEMPTIONS),
		.prefix_queries = queries_of(t, kind),
		.prefix_hits = told_or_not(t, PREFIX_HITS),
		.output_tokens = told_or_not(t, OUTPUT_TOKENS),
		.slots = -1,
	};
}

bool gauges_read(struct slice text, enum gauges_kind kind, struct gauges *ret, const char **ret_why)
{
	struct told told[GAUGES_LLAMACPP + 1] = { 0 };

	*ret_why = "it holds no request counts of a known engine";
	while (text.n > 0) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end != NULL ? (size_t)(end - text.p) : text.n;
		line_read((struct slice){ text.p, n }, told);
		n += end != NULL;
		text.p += n;
		text.n -= n;
	}
	for (enum gauges_kind k = GAUGES_VLLM; k <= GAUGES_LLAMACPP; k++) {
		const char *fault = fault_of(&told[k]);
		if (kind != GAUGES_AUTO && kind != k)
			continue;
		if (fault == NULL) {
			*ret = gauges_of(&told[k], k);
			return true;
		}
		if (fault[0] != '\0')
			*ret_why = fault;
	}
	return false;
}

/* ---- slots ---- */

/* Reads the value at hand. 0: it is no number, or no whole one. */
static uint64_t number_read(struct json *j)
{
	bool is_number = json_peek(j) == JSON_NUMBER;
	uint64_t number = 0;
	struct slice value;

	return json_skip(j, &value) && is_number && json_whole(value, &number) ? number : 0;
}

/* SGLang's list of states, one of each of its engines: what they run at most together. */
static uint64_t states_read(struct json *j)
{
	uint64_t sum = 0;
	struct slice key, value;

	json_next(j);
	while (json_element(j)) {
		if (json_peek(j) != JSON_OBJECT) {
			json_skip(j, &value);
			continue;
		}
		json_next(j);
		while (json_member(j, &key)) {
			bool most = json_key_is(key, "effective_max_running_requests_per_dp");
			uint64_t number = number_read(j);
			if (most && number <= (uint64_t)GAUGES_REQUESTS_MAX)
				sum += number;
		}
	}
	return sum;
}

unsigned gauges_slots_read(struct slice text, enum gauges_kind kind)
{
	const char *name = kind == GAUGES_SGLANG ? "max_running_requests" : "total_slots";
	struct json j;
	struct slice key;
	uint64_t number = 0, states = 0;

	json_init(&j, text);
	if (json_next(&j) != JSON_OBJECT)
		return 0;
	while (json_member(&j, &key))
		if (json_key_is(key, name))
			number = number_read(&j);
		else if (kind == GAUGES_SGLANG && json_key_is(key, "internal_states") &&
			 json_peek(&j) == JSON_ARRAY)
			states = states_read(&j);
		else
			(void)number_read(&j);
	if (states > 0)
		number = states; /* what it does; the other is what it was told to, or nothing */
	return json_end(&j) && number <= (uint64_t)GAUGES_REQUESTS_MAX ? (unsigned)number : 0;
}
