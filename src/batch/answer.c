/* answer.c: one scan of a body gives verdict and usage; a long answer's usage is searched as text
 * from its ends. */
#include "batch/answer.h"

#include <ctype.h>
#include <strings.h>

#include "base/json.h"

#define LOOK_BYTES 1024u /* from either end of a long answer, for its token counts */
#define CODE_BYTES 128u  /* longer than any code that is known */
#define MESSAGE_BYTES 1024u
#define COUNT_MOST UINT64_C(0xffffffff)

/* ---- usage (contract 8.2) ---- */

/* Reads the member at hand as a count; anything that is no whole non-negative number leaves
 * `*ret`. No answer has more than COUNT_MOST: so sums of them do not wrap. */
static void count_read(struct json *j, uint64_t *ret)
{
	struct slice value;
	uint64_t n;

	if (json_skip(j, &value) && json_whole(value, &n))
		*ret = n < COUNT_MOST ? n : COUNT_MOST;
}

/* The member `name` of the object at hand, if it is an object. */
static void detail_read(struct json *j, const char *name, uint64_t *ret)
{
	struct slice text, key;

	if (!json_skip(j, &text) || text.p[0] != '{')
		return;
	struct json inner;
	json_init(&inner, text);
	json_next(&inner);
	while (json_member(&inner, &key)) {
		if (json_key_is(key, name))
			count_read(&inner, ret);
		else
			json_skip(&inner, &text);
	}
}

static void usage_read(struct slice text, struct usage *u)
{
	struct json j;
	struct slice key, skipped;
	uint64_t cached_top = 0, cached_read = 0;

	json_init(&j, text);
	if (json_next(&j) != JSON_OBJECT)
		return;
	while (json_member(&j, &key)) {
		if (json_key_is(key, "prompt_tokens") || json_key_is(key, "input_tokens"))
			count_read(&j, &u->input);
		else if (json_key_is(key, "completion_tokens") || json_key_is(key, "output_tokens"))
			count_read(&j, &u->output);
		else if (json_key_is(key, "total_tokens"))
			count_read(&j, &u->total);
		else if (json_key_is(key, "cached_tokens"))
			count_read(&j, &cached_top);
		else if (json_key_is(key, "cache_read_input_tokens"))
			count_read(&j, &cached_read);
		else if (json_key_is(key, "prompt_tokens_details") ||
			 json_key_is(key, "input_tokens_details"))
			detail_read(&j, "cached_tokens", &u->cached);
		else if (json_key_is(key, "completion_tokens_details") ||
			 json_key_is(key, "output_tokens_details"))
			detail_read(&j, "reasoning_tokens", &u->reasoning);
		else
			json_skip(&j, &skipped);
	}
	if (u->cached == 0) /* Kimi puts it at the top as well: counted once */
		u->cached = cached_top;
	if (u->cached == 0) /* of /v1/messages, which has no details */
		u->cached = cached_read;
	if (u->total == 0)
		u->total = u->input + u->output;
}

/* ---- whether it is an answer (contract 8.3) ---- */

/* The members that tell. */
struct seen {
	unsigned members;
	bool error, detail, no_choices, aborted;
	struct slice object, type, status, usage; /* as they stand; n == 0: not there */
};

static bool text_is(struct slice text, const char *const *words)
{
	struct slice raw = { text.p + 1, text.n - 2 };

	if (text.n < 2 || text.p[0] != '"')
		return false;
	for (; *words != NULL; words++)
		if (json_key_is(raw, *words))
			return true;
	return false;
}

static void choice_read(struct json *j, struct seen *s)
{
	static const char *const aborts[] = { "error", "abort", NULL };
	struct slice key, value;

	if (json_peek(j) != JSON_OBJECT) {
		json_skip(j, &value);
		return;
	}
	json_next(j);
	while (json_member(j, &key)) {
		bool reason = json_key_is(key, "finish_reason");
		if (json_skip(j, &value) && reason && text_is(value, aborts))
			s->aborted = true;
	}
}

/* In the same pass: what an answer says lies in here. */
static void choices_read(struct json *j, struct seen *s)
{
	struct slice value;
	size_t n = 0;

	if (json_peek(j) != JSON_ARRAY) {
		json_skip(j, &value);
		return;
	}
	json_next(j);
	for (; json_element(j); n++)
		choice_read(j, s);
	s->no_choices = n == 0;
}

static void member_read(struct json *j, struct slice key, struct seen *s)
{
	struct slice value;

	s->members++;
	if (json_key_is(key, "choices")) {
		choices_read(j, s);
		return;
	}
	if (!json_skip(j, &value))
		return;
	if (json_key_is(key, "error"))
		s->error = value.p[0] == '{' || (value.p[0] == '"' && value.n > 2);
	else if (json_key_is(key, "detail"))
		s->detail = true;
	else if (json_key_is(key, "object"))
		s->object = value;
	else if (json_key_is(key, "type"))
		s->type = value;
	else if (json_key_is(key, "status"))
		s->status = value;
	else if (json_key_is(key, "usage"))
		s->usage = value;
}

static enum answer_fault judge(const struct seen *s)
{
	static const char *const error[] = { "error", NULL }, *const response[] = { "response",
										    NULL };
	static const char *const unfinished[] = { "failed", "cancelled", "in_progress", "queued",
						  NULL };

	if (s->members == 0)
		return ANSWER_EMPTY_OBJECT;
	if (text_is(s->object, response) && text_is(s->status, unfinished))
		return ANSWER_UNFINISHED;
	if (s->error || text_is(s->object, error) || text_is(s->type, error))
		return ANSWER_ERROR;
	if (s->detail && s->members == 1)
		return ANSWER_DETAIL;
	return s->no_choices ? ANSWER_NO_CHOICES : s->aborted ? ANSWER_ABORTED : ANSWER_GOOD;
}

struct slice answer_text(struct slice body)
{
	if (body.n >= 3 && memcmp(body.p, "\xef\xbb\xbf", 3) == 0)
		return (struct slice){ body.p + 3, body.n - 3 };
	return body;
}

void answer_scan(struct slice body, struct answer_facts *ret)
{
	struct json j;
	struct slice text = answer_text(body), key, skipped;
	struct seen s = { 0 };

	*ret = (struct answer_facts){ .fault = ANSWER_NOT_JSON };
	if (text.n == 0) {
		ret->fault = ANSWER_EMPTY;
		return;
	}
	json_init(&j, text);
	bool object = json_peek(&j) == JSON_OBJECT;
	if (object) {
		json_next(&j);
		while (json_member(&j, &key))
			member_read(&j, key, &s);
	} else {
		json_skip(&j, &skipped);
	}
	if (!json_end(&j))
		return;
	ret->json = true;
	ret->fault = object ? judge(&s) : ANSWER_NO_OBJECT;
	if (s.usage.n > 0)
		usage_read(s.usage, &ret->usage);
}

const char *answer_fault_words(enum answer_fault fault)
{
	static const char *const words[] = {
		[ANSWER_GOOD] = "The upstream's answer is good",
		[ANSWER_EMPTY] = "The upstream's answer has no body",
		[ANSWER_NOT_JSON] = "The upstream's answer is not JSON",
		[ANSWER_NO_OBJECT] = "The upstream's answer is no JSON object",
		[ANSWER_EMPTY_OBJECT] = "The upstream's answer is an empty object",
		[ANSWER_ERROR] = "The upstream's answer is an error, though its status says success",
		[ANSWER_DETAIL] =
			"The upstream's answer is an error, though its status says success",
		[ANSWER_NO_CHOICES] = "The upstream's answer has no choices",
		[ANSWER_ABORTED] = "The upstream broke the answer off",
		[ANSWER_UNFINISHED] = "The upstream's answer says that it failed or is not finished",
	};

	return words[fault];
}

/* ---- token counts of long answers ---- */

/* The number behind the last `"NAME":` of `text`; false: there is none. */
static bool count_find(struct slice text, struct slice name, uint64_t *ret)
{
	const char *at = NULL, *end = text.p + text.n;

	for (const char *p = text.p; (p = memmem(p, (size_t)(end - p), name.p, name.n)) != NULL;
	     p += name.n)
		at = p + name.n;
	if (at == NULL)
		return false;
	while (at < end && (*at == ' ' || *at == ':' || *at == '\t'))
		at++;
	uint64_t n = 0;
	const char *digits = at;
	for (; at < end && *at >= '0' && *at <= '9' && n < UINT32_MAX; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	*ret = n;
	return at > digits;
}

static bool tokens_in(struct slice part, struct usage *ret)
{
	bool prompt = count_find(part, SLICE("\"prompt_tokens\""), &ret->input) ||
		      count_find(part, SLICE("\"input_tokens\""), &ret->input);
	bool output = count_find(part, SLICE("\"completion_tokens\""), &ret->output) ||
		      count_find(part, SLICE("\"output_tokens\""), &ret->output);

	return prompt || output;
}

void answer_tokens_find(struct slice body, struct usage *ret)
{
	*ret = (struct usage){ 0 };
	size_t n = body.n < LOOK_BYTES ? body.n : LOOK_BYTES;
	if (n == 0 || tokens_in((struct slice){ body.p + body.n - n, n }, ret))
		return;
	(void)tokens_in((struct slice){ body.p, n }, ret);
}

/* ---- error answers ---- */

/* The text of the first of `names` that the object `text` has as a member of the wanted type. */
static struct slice member_of(struct slice text, const char *const *names, char first)
{
	struct json j;
	struct slice key, value, found = { NULL, 0 };
	size_t best = SIZE_MAX;

	json_init(&j, text);
	if (text.n == 0 || json_peek(&j) != JSON_OBJECT)
		return found;
	json_next(&j);
	while (json_member(&j, &key)) {
		if (!json_skip(&j, &value))
			break;
		for (size_t i = 0; i < best && names[i] != NULL; i++)
			if (value.p[0] == first && json_key_is(key, names[i])) {
				best = i;
				found = value;
			}
	}
	return j.bad ? (struct slice){ NULL, 0 } : found;
}

/* {"error":{…}} or the object itself. */
static struct slice error_object(struct slice body)
{
	static const char *const names[] = { "error", "Error", NULL };
	struct slice inner = member_of(body, names, '{');

	return inner.n > 0 ? inner : body;
}

struct slice answer_head(struct slice text, size_t max)
{
	if (text.n <= max)
		return text;
	size_t n = max;
	while (n > 0 && ((unsigned char)text.p[n] & 0xC0) == 0x80)
		n--;
	return (struct slice){ text.p, n };
}

/* In one line: a run of white space and control characters becomes a space. */
static void text_clean(char *text)
{
	char *to = text;

	for (const char *p = text; *p != '\0'; p++) {
		bool control = (unsigned char)*p < ' ' || *p == 0x7f;
		char c = ' ';
		if (!control)
			c = *p;
		if (c != ' ' || (to > text && to[-1] != ' '))
			*to++ = c;
	}
	if (to > text && to[-1] == ' ')
		to--;
	*to = '\0';
}

void answer_message(struct slice body, char *to, size_t size)
{
	static const char *const messages[] = {
		"message", "Message", "detail", "error", "msg", NULL
	};
	struct slice text = answer_text(body);
	struct slice found = member_of(error_object(text), messages, '"');

	if (found.n == 0)
		found = member_of(text, messages, '"');
	char decoded[MESSAGE_BYTES];
	if (found.n >= 2) {
		size_t n = json_decode((struct slice){ found.p + 1, found.n - 2 }, decoded,
				       sizeof(decoded));
		text = (struct slice){ decoded, n < sizeof(decoded) ? n : sizeof(decoded) };
	}
	text = answer_head(text, size - 1);
	if (text.n > 0)
		memcpy(to, text.p, text.n);
	to[text.n] = '\0';
	text_clean(to);
}

static bool code_matches(const char *code, const char *const *words)
{
	const char *tail = strrchr(code, '#');

	if (tail == NULL)
		tail = strrchr(code, '.');
	for (; *words != NULL; words++)
		if (strcasecmp(code, *words) == 0 ||
		    (tail != NULL && strcasecmp(tail + 1, *words) == 0))
			return true;
	return false;
}

bool answer_code_is(struct slice body, const char *const *words)
{
	static const char *const members[] = { "code", "type", "__type", "status", NULL };
	struct slice error = error_object(answer_text(body));

	for (size_t i = 0; members[i] != NULL; i++) {
		const char *const one[] = { members[i], NULL };
		struct slice value = member_of(error, one, '"');
		char code[CODE_BYTES];
		if (value.n < 2 || value.n - 2 >= sizeof(code))
			continue;
		size_t n = json_decode((struct slice){ value.p + 1, value.n - 2 }, code,
				       sizeof(code) - 1);
		code[n < sizeof(code) - 1 ? n : sizeof(code) - 1] = '\0';
		if (code_matches(code, words))
			return true;
	}
	return false;
}
