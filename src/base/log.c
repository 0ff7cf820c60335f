/* log.c: one event, one line, one write.
 *
 * A line is put together on the stack, so that logging works when memory is out, and is at most
 * 4,096 bytes, which a pipe takes in one piece (PIPE_BUF): lines of different threads never mix. */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

#define LINE_SIZE 4096
#define VALUE_MAX 1024 /* bytes of one value shown: no field crowds out the others */

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARN] = "warn",
	[LOG_ERROR] = "error",
};

static atomic_int least_level = LOG_INFO;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

static atomic_int line_format = LOG_FORMAT_TEXT;

void log_set_format(enum log_format f)
{
	atomic_store_explicit(&line_format, (int)f, memory_order_relaxed);
}

/* `diverted` spares a log that goes to standard error the lock. */
static atomic_bool diverted;
static struct {
	pthread_mutex_t lock;
	log_write_fn write;
	void *ctx;
} diversion = { .lock = PTHREAD_MUTEX_INITIALIZER };

void log_divert(log_write_fn write, void *ctx)
{
	pthread_mutex_lock(&diversion.lock);
	diversion.write = write;
	diversion.ctx = ctx;
	pthread_mutex_unlock(&diversion.lock);
	atomic_store(&diverted, write != NULL);
}

static bool write_diverted(const char *text, size_t n)
{
	if (!atomic_load(&diverted))
		return false;
	pthread_mutex_lock(&diversion.lock);
	bool taken = diversion.write != NULL;
	if (taken)
		diversion.write(diversion.ctx, text, n);
	pthread_mutex_unlock(&diversion.lock);
	return taken;
}

struct log_line {
	char text[LINE_SIZE];
	size_t n, max;
	bool cut; /* something did not fit */
};

/* What does not fit is cut off. */
static void line_bytes(struct log_line *l, const char *p, size_t n)
{
	size_t room = l->max - l->n;

	if (n > room) {
		l->cut = true;
		n = room;
	}
	memcpy(l->text + l->n, p, n);
	l->n += n;
}

static void PRINTF_LIKE(2, 3) line_printf(struct log_line *l, const char *format, ...)
{
	char text[64];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n > 0)
		line_bytes(l, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void line_text(struct log_line *l, const char *text)
{
	line_bytes(l, text, strlen(text));
}

/* Whether the character of `n` bytes at `p` would break the line's form, or a terminal: control
 * characters (also U+0080 to U+009F). */
static bool is_control(const char *p, size_t n)
{
	unsigned char first = (unsigned char)p[0];

	if (n == 1)
		return first < 0x20 || first == 0x7F;
	return n == 2 && first == 0xC2 && (unsigned char)p[1] < 0xA0;
}

static bool needs_quotes(struct slice value)
{
	if (value.n == 0)
		return true;
	for (size_t i = 0; i < value.n;) {
		bool valid;
		size_t step = utf8_step(value.p + i, value.n - i, &valid);
		if (!valid || is_control(value.p + i, step) || strchr(" \"=\\", value.p[i]) != NULL)
			return true;
		i += step;
	}
	return false;
}

/* How a format writes the character of `n` bytes at `p`, which is a control character or no
 * UTF-8. */
typedef void (*escape_fn)(struct log_line *l, const char *p, size_t n, bool valid);

static void text_escape(struct log_line *l, const char *p, size_t n, bool valid)
{
	(void)valid;
	for (size_t i = 0; i < n; i++)
		line_printf(l, "\\x%02x", (unsigned char)p[i]);
}

static void json_escape(struct log_line *l, const char *p, size_t n, bool valid)
{
	unsigned char last = (unsigned char)p[n - 1]; /* of U+0080 to U+009F it is the number */

	if (valid)
		line_printf(l, "\\u%04x", last);
	else
		line_text(l, "\\ufffd");
}

static void line_escaped(struct log_line *l, const char *p, size_t n, bool valid, escape_fn escape)
{
	if (*p == '\n')
		line_text(l, "\\n");
	else if (*p == '\r')
		line_text(l, "\\r");
	else if (*p == '\t')
		line_text(l, "\\t");
	else
		escape(l, p, n, valid);
}

static void line_quoted(struct log_line *l, struct slice value, escape_fn escape)
{
	bool cut = value.n > VALUE_MAX;
	size_t end = cut ? VALUE_MAX : value.n;

	line_text(l, "\"");
	for (size_t i = 0; i < end;) { /* by whole characters, so maybe a few bytes past `end` */
		bool valid;
		size_t step = utf8_step(value.p + i, value.n - i, &valid);
		if (!valid || is_control(value.p + i, step)) {
			line_escaped(l, value.p + i, step, valid, escape);
		} else {
			if (value.p[i] == '"' || value.p[i] == '\\')
				line_text(l, "\\");
			line_bytes(l, value.p + i, step);
		}
		i += step;
	}
	line_text(l, cut ? "…\"" : "\"");
}

/* ---- the two formats ---- */

/* One format: what begins a line, a field of it, and what ends it. */
struct form {
	void (*head)(struct log_line *l, const char *time, const char *level, const char *event);
	void (*key)(struct log_line *l, const char *key);
	void (*value)(struct log_line *l, struct slice value);
	const char *end, *cut; /* of a line that is whole, and of one that is not */
	bool whole;            /* a field that does not fit is left out with all behind it */
};

static void text_head(struct log_line *l, const char *time, const char *level, const char *event)
{
	line_printf(l, "%s %-5s ", time, level);
	line_text(l, event);
}

static void text_key(struct log_line *l, const char *key)
{
	line_text(l, " ");
	line_text(l, key);
	line_text(l, "=");
}

static void text_value(struct log_line *l, struct slice value)
{
	if (value.n > VALUE_MAX || needs_quotes(value))
		line_quoted(l, value, text_escape);
	else
		line_bytes(l, value.p, value.n);
}

static void json_head(struct log_line *l, const char *time, const char *level, const char *event)
{
	line_printf(l, "{\"time\":\"%s\"", time);
	line_printf(l, ",\"level\":\"%s\",\"event\":", level);
	line_quoted(l, slice_of(event), json_escape);
}

static void json_key(struct log_line *l, const char *key)
{
	line_text(l, ",\"");
	line_text(l, key); /* ours: a plain word */
	line_text(l, "\":");
}

static void json_value(struct log_line *l, struct slice value)
{
	line_quoted(l, value, json_escape);
}

static const struct form forms[] = {
	[LOG_FORMAT_TEXT] = { text_head, text_key, text_value, "", "", false },
	[LOG_FORMAT_JSON] = { json_head, json_key, json_value, "}", ",\"cut\":true}", true },
};

/* Starts the line. */
static const struct form *line_begin(struct log_line *l, enum log_level level, const char *event)
{
	const struct form *form = &forms[atomic_load_explicit(&line_format, memory_order_relaxed)];
	struct timespec now;
	struct tm utc;
	char second[32], time[56];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(time, sizeof(time), "%s.%03ldZ", second, now.tv_nsec / 1000000);
	l->n = 0;
	l->cut = false;
	l->max = LINE_SIZE - 1 - strlen(form->cut); /* with its end, and the newline */
	form->head(l, time, level_names[level], event);
	return form;
}

static void field_value(struct log_line *l, const struct form *form, const struct log_field *f)
{
	switch (f->type) {
	case LOG_TEXT:
		form->value(l, slice_of(f->text != NULL ? f->text : ""));
		break;
	case LOG_SLICE:
		form->value(l, f->slice);
		break;
	case LOG_U64:
		line_printf(l, "%" PRIu64, f->u64);
		break;
	case LOG_I64:
		line_printf(l, "%" PRId64, f->i64);
		break;
	}
}

/* A JSON object has each name once. */
static bool is_own(const char *key)
{
	return strcmp(key, "time") == 0 || strcmp(key, "level") == 0 || strcmp(key, "event") == 0;
}

static void line_fields(struct log_line *l, const struct form *form, const struct log_field *fields)
{
	for (const struct log_field *f = fields; f->key != NULL && !l->cut; f++) {
		assert(!is_own(f->key));
		size_t before = l->n;
		form->key(l, f->key);
		field_value(l, form, f);
		if (l->cut && form->whole)
			l->n = before;
	}
}

/* A line that cannot be written is lost: the server goes on. */
static void line_write(struct log_line *l, const struct form *form)
{
	ssize_t n;

	l->max = LINE_SIZE;
	line_text(l, l->cut ? form->cut : form->end);
	line_text(l, "\n");
	if (write_diverted(l->text, l->n))
		return;
	do
		n = write(STDERR_FILENO, l->text, l->n);
	while (n < 0 && errno == EINTR);
}

static bool is_shown(enum log_level level)
{
	return level < LOG_OFF &&
	       (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	struct log_line l;
	int saved_errno = errno; /* the caller may yet want it */

	if (!is_shown(level))
		return;
	const struct form *form = line_begin(&l, level, event);
	line_fields(&l, form, fields);
	line_write(&l, form);
	errno = saved_errno;
}

void log_write_error(enum log_level level, const char *event, const struct error *err,
		     const struct log_field *fields)
{
	struct log_field about[6] = { kv_str("error", err->message) };
	struct log_line l;
	int saved_errno = errno;
	int n = 1;

	if (!is_shown(level))
		return;
	if (err->detail[0] != '\0')
		about[n++] = kv_str("detail", err->detail);
	if (err->sys != 0)
		about[n++] = kv_int("errno", err->sys);
	if (err->sqlite != 0)
		about[n++] = kv_int("sqlite", err->sqlite);
	if (err->line != 0)
		about[n++] = kv_u64("line", err->line);
	about[n].key = NULL;
	const struct form *form = line_begin(&l, level, event);
	line_fields(&l, form, about);
	line_fields(&l, form, fields);
	line_write(&l, form);
	errno = saved_errno;
}

/* ---- storms ---- */

static bool storm_begins(struct log_storm *s, uint64_t now_ms)
{
	uint64_t until = s->until_ms;

	return now_ms >= until &&
	       atomic_compare_exchange_strong(&s->until_ms, &until, now_ms + LOG_STORM_MS);
}

bool log_storm_pass(struct log_storm *s, uint64_t now_ms, uint64_t *ret_held)
{
	if (!storm_begins(s, now_ms)) {
		s->held++;
		return false;
	}
	*ret_held = atomic_exchange(&s->held, 0);
	return true;
}

uint64_t log_storm_rest(struct log_storm *s, uint64_t now_ms)
{
	return s->held > 0 && storm_begins(s, now_ms) ? atomic_exchange(&s->held, 0) : 0;
}
