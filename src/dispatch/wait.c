/* wait.c: see wait.h. */
#include "dispatch/wait.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "client/headers.h"

#define WAIT_MOST_MS (7.0 * 24 * 3600 * 1000) /* so that sums of it stay small */

static int64_t whole_ms(double ms)
{
	return ms > 0 ? (int64_t)ceil(ms < WAIT_MOST_MS ? ms : WAIT_MOST_MS) : 0;
}

/* A plain decimal number at *at: digits, perhaps with a fraction. Moves *at behind it. */
static bool number_read(const char **at, double *ret)
{
	char *end;

	if ((**at < '0' || **at > '9') && **at != '.')
		return false;
	if (**at == '0' && ((*at)[1] == 'x' || (*at)[1] == 'X')) /* strtod() would take it */
		return false;
	*ret = strtod(*at, &end);
	bool ok = end > *at && isfinite(*ret);
	*at = end;
	return ok;
}

/* "2s", "1m30s", "6ms", "1h0m0s"; a mere number is seconds. */
static int64_t span_ms(const char *p)
{
	double sum = 0, n;

	while (*p != '\0') {
		if (!number_read(&p, &n))
			return 0;
		if (p[0] == 'm' && p[1] == 's') {
			sum += n;
			p += 2;
		} else if (*p == 's' || *p == '\0') {
			sum += n * 1000;
			p += *p == 's';
		} else if (*p == 'm' || *p == 'h' || *p == 'd') {
			sum += n * (*p == 'm' ? 60e3 : *p == 'h' ? 3600e3 : 86400e3);
			p++;
		} else {
			return 0;
		}
	}
	return whole_ms(sum);
}

static int64_t after_ms(const char *p, int64_t now_s)
{
	double n;
	const char *at = p;

	if (number_read(&at, &n))
		return *at == '\0' ? whole_ms(n * 1000) : 0;
	int64_t date = header_date(p);
	return date > now_s ? whole_ms((double)(date - now_s) * 1000) : 0;
}

static bool copy(struct slice value, char *to, size_t size)
{
	return value.n > 0 && slice_copy(value, to, size) && to[0] != '\0';
}

static int64_t reset_ms(struct slice reset, struct slice remaining)
{
	char text[64];

	if (copy(remaining, text, sizeof(text)) && strtod(text, NULL) > 0)
		return 0;
	return copy(reset, text, sizeof(text)) ? span_ms(text) : 0;
}

int64_t wait_read_ms(const struct wait_headers *h, int64_t now_s)
{
	char text[64];
	double n;
	int64_t ms = copy(h->retry_after, text, sizeof(text)) ? after_ms(text, now_s) : 0;

	if (ms > 0)
		return ms;
	if (copy(h->retry_after_ms, text, sizeof(text))) {
		const char *at = text;
		if (number_read(&at, &n) && *at == '\0' && n > 0)
			return whole_ms(n);
	}
	int64_t requests = reset_ms(h->reset_requests, h->remaining_requests);
	int64_t tokens = reset_ms(h->reset_tokens, h->remaining_tokens);
	return requests > tokens ? requests : tokens;
}
