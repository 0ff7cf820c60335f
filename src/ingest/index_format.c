/* index_format.c: the check of a header, and the summary as JSON. */
#include "ingest/index_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/json.h"

uint64_t index_header_check(struct index_header h, struct slice footer)
{
	h.check = 0;
	return XXH3_64bits_withSeed(footer.p, footer.n, XXH3_64bits(&h, sizeof(h)));
}

uint64_t index_record_offset(uint64_t number, size_t record_bytes)
{
	return sizeof(struct index_header) + number * record_bytes;
}

/* From the first on: none is written over that has not been moved. */
void index_records_widen(struct index_record *to, size_t n, size_t bytes)
{
	const char *from = (const char *)(to + n) - n * bytes;

	for (size_t i = 0; bytes < sizeof(*to) && i < n; i++) {
		struct index_record record = { 0 };

		memcpy(&record, from + i * bytes, bytes);
		to[i] = record;
	}
}

void index_summary_done(struct index_summary *s)
{
	for (unsigned i = 0; i < s->url_count; i++)
		free(s->urls[i]);
	for (unsigned i = 0; i < s->model_count; i++)
		free(s->models[i]);
	free(s->urls);
	free(s->models);
	*s = (struct index_summary){ 0 };
}

/* ---- the summary as JSON ---- */

static void names_format(struct buf *to, const char *member, char *const *names, unsigned count)
{
	buf_printf(to, ",\"%s\":[", member);
	for (unsigned i = 0; i < count; i++) {
		if (i > 0)
			buf_char(to, ',');
		buf_json_string(to, slice_of(names[i]));
	}
	buf_char(to, ']');
}

void index_summary_format(const struct index_summary *s, struct buf *to)
{
	buf_printf(to, "{\"lines\":%llu,\"inputs\":%llu,\"body_bytes\":%llu,\"flags\":%u",
		   (unsigned long long)s->lines, (unsigned long long)s->inputs,
		   (unsigned long long)s->body_bytes, s->flags_any);
	buf_printf(to, ",\"url_overflow\":%u,\"model_overflow\":%u,\"prefixes\":%u",
		   s->url_overflow, s->model_overflow, s->prefixes);
	names_format(to, "urls", s->urls, s->url_count);
	names_format(to, "models", s->models, s->model_count);
	buf_char(to, '}');
}

bool index_corrupt(struct error *err, const char *what)
{
	return fail_sys(err, EBADMSG, "index: %s", what);
}

bool index_summary_corrupt(struct error *err)
{
	return index_corrupt(err, "its summary makes no sense");
}

bool index_name_add(char ***names, unsigned *count, char *name, struct error *err)
{
	if (name != NULL && (*count & (*count - 1)) == 0) { /* 0, 1, 2, 4, ...: they are full */
		size_t room = *count == 0 ? 1 : 2 * (size_t)*count;
		char **larger = reallocarray(*names, room, sizeof(char *));
		if (larger == NULL)
			free(TAKE(name));
		else
			*names = larger;
	}
	if (name == NULL)
		return fail_memory(err);
	(*names)[(*count)++] = name;
	return true;
}

static bool names_parse(struct json *j, char ***names, unsigned *ret_count, struct error *err)
{
	if (json_next(j) != JSON_ARRAY)
		return index_summary_corrupt(err);
	while (json_element(j)) {
		if (json_next(j) != JSON_STRING || *ret_count == INDEX_NAMES_MAX)
			return index_summary_corrupt(err);
		struct slice raw = { j->value.p + 1, j->value.n - 2 };
		size_t n = json_decode(raw, NULL, 0);
		char *name = malloc(n + 1);
		if (name != NULL) {
			json_decode(raw, name, n);
			name[n] = '\0';
		}
		if (!index_name_add(names, ret_count, name, err))
			return false;
	}
	return !j->bad || index_summary_corrupt(err);
}

static bool number_parse(struct json *j, uint64_t *ret, struct error *err)
{
	return (json_next(j) == JSON_NUMBER && json_u64(j->value, ret)) ||
	       index_summary_corrupt(err);
}

bool index_summary_parse(struct slice text, struct index_summary *s, struct error *err)
{
	uint64_t flags = 0, urls_over = 0, models_over = 0, prefixes = 0;
	const struct {
		const char *name;
		uint64_t *to;
	} numbers[] = {
		{ "lines", &s->lines },           { "inputs", &s->inputs },
		{ "body_bytes", &s->body_bytes }, { "flags", &flags },
		{ "url_overflow", &urls_over },   { "model_overflow", &models_over },
		{ "prefixes", &prefixes },
	};
	struct json j;
	struct slice key;

	json_init(&j, text);
	if (json_next(&j) != JSON_OBJECT)
		return index_summary_corrupt(err);
	while (json_member(&j, &key)) {
		uint64_t *number = NULL;
		for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
			if (json_key_is(key, numbers[i].name))
				number = numbers[i].to;
		/* `id_key`, of no use, was written for some days. */
		bool ok = number != NULL ? number_parse(&j, number, err)
			  : json_key_is(key, "id_key")
				  ? json_next(&j) == JSON_STRING || index_summary_corrupt(err)
			  : json_key_is(key, "urls")
				  ? names_parse(&j, &s->urls, &s->url_count, err)
				  : names_parse(&j, &s->models, &s->model_count, err);
		if (!ok)
			return false;
	}
	s->flags_any = (uint32_t)flags;
	s->url_overflow = urls_over != 0;
	s->model_overflow = models_over != 0;
	s->prefixes = prefixes != 0;
	return json_end(&j) || index_summary_corrupt(err);
}
