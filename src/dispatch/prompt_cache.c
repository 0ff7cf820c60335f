/* prompt_cache.c: intervals of some seconds, each with one share; a search is a row of them. */
#include "dispatch/prompt_cache.h"

#include <assert.h>

#define INTERVAL_MS 5000u
#define INTERVAL_LINES 64u      /* at least; and INTERVAL_TURNS for each slot */
#define INTERVAL_TURNS 4u       /* the first ones of a turn are sent with nothing cached */
#define INTERVAL_MOST_MS 60000u /* what has too few lines by then shows nothing */
#define EXPECTED_LEAST 0.1      /* of prompt tokens: less is not worth a search */
#define FOUND_LEAST 0.5         /* of what is expected */
#define FOUND_BETTER 1.1        /* so much better another way has to be to be kept, */
#define FOUND_MORE 0.05         /* and by so much of all prompt tokens */
#define OTHERS_MOST 1.5         /* prompt tokens at the engine for one of ours: more are others' */
#define AGAIN_MS (10u * 60 * 1000)

/* Fewer and fewer prefixes, then the other kind. */
static const unsigned ways[CACHE_WAYS] = { SCHEDULE_PREFIXES_ANY, 4, 2, 1, SCHEDULE_PREFIXES_ANY };
#define WAY_OTHER_KIND (CACHE_WAYS - 1)

static bool engine_is_known(enum gauges_kind engine)
{
	return engine == GAUGES_VLLM || engine == GAUGES_SGLANG || engine == GAUGES_LLAMACPP;
}

static enum schedule_cache kind_of(enum gauges_kind engine, unsigned way)
{
	return engine == GAUGES_LLAMACPP || way == WAY_OTHER_KIND ? SCHEDULE_CACHE_OF_SLOTS
								  : SCHEDULE_CACHE_SHARED;
}

enum schedule_cache prompt_cache_kind(const struct prompt_cache *c, enum gauges_kind engine)
{
	return kind_of(engine, engine == c->engine ? c->way : 0);
}

unsigned prompt_cache_prefixes(const struct prompt_cache *c)
{
	return ways[c->way];
}

void prompt_cache_learn(struct prompt_cache *c, const struct schedule_line *l,
			const struct usage *tokens)
{
	c->lines++;
	c->expected += l->cached_tokens;
	c->estimated += l->input_tokens;
	c->prompt += (double)tokens->input;
	c->cached += (double)tokens->cached;
	c->answers_tell = c->answers_tell || tokens->cached > 0;
}

static void interval_begin(struct prompt_cache *c, const struct prompt_cache_view *v)
{
	c->since_ms = v->now_ms;
	c->lines = 0;
	c->online = v->online;
	c->expected = c->estimated = c->prompt = c->cached = 0;
	c->queries = v->queries;
	c->hits = v->hits;
}

/* Of the prompt tokens since the interval's beginning, the share that was cached; < 0: nobody says,
 * or others' requests are in it. */
static double share_found(const struct prompt_cache *c, const struct prompt_cache_view *v)
{
	double queries = v->queries - c->queries, hits = v->hits - c->hits;

	if (c->answers_tell && c->prompt > 0)
		return c->cached < c->prompt ? c->cached / c->prompt : 1;
	if (c->queries < 0 || c->hits < 0 || !(queries > 0) || hits < 0 || hits > queries)
		return -1;
	if (v->online != c->online || (c->prompt > 0 && queries > OTHERS_MOST * c->prompt))
		return -1;
	return hits / queries;
}

/* The next way to try; CACHE_WAYS: all were. */
static unsigned way_next(const struct prompt_cache *c)
{
	unsigned way = c->way + 1;

	if (way == WAY_OTHER_KIND && engine_is_known(c->engine))
		way++;
	return way;
}

static bool better(double share, double usual)
{
	return share > FOUND_BETTER * usual && share >= usual + FOUND_MORE;
}

static void search_end(struct prompt_cache *c, unsigned tried, const struct prompt_cache_view *v)
{
	unsigned best = 0;

	for (unsigned i = 1; i < tried; i++)
		if (better(c->share[i], c->share[0]) && c->share[i] > c->share[best])
			best = i;
	c->way = best;
	c->searches = false;
	c->again_ms = v->now_ms + AGAIN_MS;
}

/* An interval shows nothing: the batch may have ended, or others have come. */
static void search_stop(struct prompt_cache *c)
{
	if (c->searches)
		c->way = 0;
	c->searches = false;
}

/* The interval has shown `found`. True: that was the last of a search. */
static bool interval_judge(struct prompt_cache *c, const struct prompt_cache_view *v,
			   double expected, double found)
{
	bool poor = expected >= EXPECTED_LEAST && found < FOUND_LEAST * expected;

	if (!c->searches) {
		/* llama.cpp opens as many as there are slots, whatever we say */
		if (!poor || v->now_ms < c->again_ms || c->engine == GAUGES_LLAMACPP)
			return false;
		c->searches = true;
		c->looked_for = expected;
		if (c->way != 0) {
			/* `found` is that of the way kept; way 0 has an interval of its own */
			c->way = 0;
			return false;
		}
	}
	c->share[c->way] = found;
	unsigned next = way_next(c);
	if (next < CACHE_WAYS)
		c->way = next;
	else
		search_end(c, c->way + 1, v);
	return next >= CACHE_WAYS;
}

bool prompt_cache_tick(struct prompt_cache *c, const struct prompt_cache_view *v,
		       struct prompt_cache_news *ret)
{
	uint64_t lines_least = (uint64_t)INTERVAL_TURNS * v->in_flight;

	if (v->engine != c->engine || c->since_ms == 0) {
		*c = (struct prompt_cache){ .engine = v->engine };
		interval_begin(c, v);
		return false;
	}
	uint64_t ms = v->now_ms - c->since_ms;
	if (ms < INTERVAL_MS)
		return false;
	if (c->lines < INTERVAL_LINES || c->lines < lines_least) {
		if (c->lines > 0 && ms < INTERVAL_MOST_MS)
			return false;
		search_stop(c);
		interval_begin(c, v);
		return false;
	}
	double found = share_found(c, v);
	double expected = c->estimated > 0 ? c->expected / c->estimated : 0;
	if (found < 0)
		search_stop(c);
	bool ended = found >= 0 && interval_judge(c, v, expected, found);
	interval_begin(c, v);
	if (!ended)
		return false;
	*ret = (struct prompt_cache_news){ .expected = c->looked_for,
					   .found_before = c->share[0],
					   .found = c->share[c->way],
					   .cache = kind_of(c->engine, c->way),
					   .prefixes = ways[c->way] };
	return true;
}
