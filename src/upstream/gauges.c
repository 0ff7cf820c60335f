/* gauges.c: see gauges.h. One pass over the lines; a line is `name{labels} value timestamp`, where
 * labels and timestamp may be missing. What cannot be read so is passed over: a line of one series
 * is no reason to do without the others. */
#include "upstream/gauges.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/attr.h"

#define NUMBER_MAX 63 /* bytes; no engine prints longer ones */

const char *const gauges_kind_words[] = { "auto", "none", "vllm", "sglang", "llamacpp", NULL };

enum gauge { WAITING, RUNNING, CACHE, GAUGES_N };

static const struct {
	const char *name;
	enum gauges_kind kind;
	enum gauge gauge;
} series_names[] = {
	{ "vllm:num_requests_waiting", GAUGES_VLLM, WAITING },
	{ "vllm:num_requests_running", GAUGES_VLLM, RUNNING },
	{ "vllm:kv_cache_usage_perc", GAUGES_VLLM, CACHE },
	{ "vllm:gpu_cache_usage_perc", GAUGES_VLLM, CACHE },
	{ "sglang:num_queue_reqs", GAUGES_SGLANG, WAITING },
	{ "sglang:num_running_reqs", GAUGES_SGLANG, RUNNING },
	{ "sglang:token_usage", GAUGES_SGLANG, CACHE },
	{ "llamacpp:requests_deferred", GAUGES_LLAMACPP, WAITING },
	{ "llamacpp:requests_processing", GAUGES_LLAMACPP, RUNNING },
	{ "llamacpp:kv_cache_usage_ratio", GAUGES_LLAMACPP, CACHE },
};

struct told {
	double value[GAUGES_N];
	bool seen[GAUGES_N];
};

struct labels {
	bool dp_rank, other_tp_rank; /* there is one; it is not 0 */
	bool repeated;               /* see gauges.h */
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

/* Decimal digits only: strtod() alone would take hexadecimal ones, "nan(x)" and "infinity" too. */
static bool read_number(struct slice s, double *ret)
{
	char text[NUMBER_MAX + 1], *end;

	if (s.n == 0 || !slice_copy(s, text, sizeof(text)) ||
	    strspn(text, "0123456789+-.eE") != s.n)
		return false;
	*ret = strtod(text, &end);
	return *end == '\0' && isfinite(*ret) && *ret >= 0;
}

static void line_read(struct slice line, struct told *told)
{
	struct labels labels = { 0 };
	double value;
	size_t i = 0;

	skip_space(&line);
	struct slice name = take_until(&line, "{ \t\r");
	while (i < ARRAY_LEN(series_names) && !slice_is(name, series_names[i].name))
		i++;
	if (i == ARRAY_LEN(series_names))
		return; /* a comment too: its name is "#", or begins so */
	skip_space(&line);
	if (take(&line, '{') && !take_labels(&line, &labels))
		return;
	skip_space(&line);
	if (!read_number(take_until(&line, " \t\r"), &value))
		return;

	enum gauge g = series_names[i].gauge;
	struct told *t = &told[series_names[i].kind];
	if ((g == CACHE && value > 1) || (series_names[i].kind == GAUGES_SGLANG && labels.repeated))
		return;
	if (g != CACHE)
		t->value[g] += value;
	else if (!t->seen[g] || value > t->value[g])
		t->value[g] = value;
	t->seen[g] = true;
}

static bool told_enough(const struct told *t)
{
	return t->seen[WAITING] && t->seen[RUNNING] && isfinite(t->value[WAITING]) &&
	       isfinite(t->value[RUNNING]);
}

bool gauges_read(struct slice text, enum gauges_kind kind, struct gauges *ret)
{
	struct told told[GAUGES_LLAMACPP + 1] = { 0 };

	while (text.n > 0) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end != NULL ? (size_t)(end - text.p) : text.n;
		line_read((struct slice){ text.p, n }, told);
		n += end != NULL;
		text.p += n;
		text.n -= n;
	}
	for (enum gauges_kind k = GAUGES_VLLM; k <= GAUGES_LLAMACPP; k++) {
		const struct told *t = &told[k];
		if ((kind != GAUGES_AUTO && kind != k) || !told_enough(t))
			continue;
		*ret = (struct gauges){ .kind = k,
					.waiting = t->value[WAITING],
					.running = t->value[RUNNING],
					.cache = t->seen[CACHE] ? t->value[CACHE] : -1 };
		return true;
	}
	return false;
}
