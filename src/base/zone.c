/* zone.c: see zone.h. A file has a list of the times at which the offset changes, and behind it a
 * rule for all later times, as the environment's TZ has it: "CET-1CEST,M3.5.0,M10.5.0/3". */
#include "base/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ZONEINFO "/usr/share/zoneinfo"
#define FILE_BYTES_MAX (1u << 20)
#define DAY_S INT64_C(86400)

/* A day of the year on which the offset changes, and when. */
struct zone_change {
	enum { CHANGE_MONTH, CHANGE_JULIAN, CHANGE_DAY } kind;
	int month, week, day;
	int64_t time_s; /* of the local clock before the change */
};

struct rule {
	int64_t standard_s, summer_s; /* east of UTC */
	bool has_summer;
	struct zone_change begin, end; /* of the summer time */
};

struct zone {
	struct zone *next;
	char name[64];
	struct rule rule;
	int64_t first_s; /* the offset before the first transition */
	size_t n;
	struct transition {
		int64_t at, offset_s;
	} transitions[];
};

/* ---- days ---- */

/* Days since 1970-01-01 of the civil date. */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t year_of(int64_t day)
{
	int64_t year = 1970 + day / 366; /* or a little later */

	while (days_of(year + 1, 1, 1) <= day)
		year++;
	while (days_of(year, 1, 1) > day)
		year--;
	return year;
}

static int days_in(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* The local time of a change in that year, as seconds since 1970 of a clock that knows no zone. */
static int64_t change_local_s(const struct zone_change *c, int64_t year)
{
	int64_t day = days_of(year, 1, 1);

	if (c->kind == CHANGE_JULIAN) {
		day += c->day - 1 + (is_leap(year) && c->day >= 60);
	} else if (c->kind == CHANGE_DAY) {
		day += c->day;
	} else {
		int64_t first = days_of(year, c->month, 1);
		int weekday = (int)(((first + 4) % 7 + 7) % 7);
		int date = 1 + (c->day - weekday + 7) % 7 + (c->week - 1) * 7;
		while (date > days_in(year, c->month))
			date -= 7;
		day = first + date - 1;
	}
	return day * DAY_S + c->time_s;
}

/* ---- the rule ---- */

static int64_t rule_offset_s(const struct rule *r, int64_t at)
{
	if (!r->has_summer)
		return r->standard_s;
	int64_t local = at + r->standard_s;
	int64_t day = local >= 0 ? local / DAY_S : (local - DAY_S + 1) / DAY_S;
	int64_t year = year_of(day);
	int64_t begin = change_local_s(&r->begin, year) - r->standard_s;
	int64_t end = change_local_s(&r->end, year) - r->summer_s;
	bool summer = begin < end ? at >= begin && at < end : at >= begin || at < end;

	return summer ? r->summer_s : r->standard_s;
}

/* A number from `least` to `most`; moves *at behind it. */
static bool rule_number(const char **at, int least, int most, int *ret)
{
	int n = 0;

	if (**at < '0' || **at > '9')
		return false;
	for (; **at >= '0' && **at <= '9' && n < 10000; (*at)++)
		n = n * 10 + (**at - '0');
	*ret = n;
	return n >= least && n <= most;
}

/* "CEST" or "<+03>". */
static bool rule_name(const char **at)
{
	const char *from = *at;

	if (**at == '<') {
		*at += strcspn(*at, ">");
		if (**at != '>')
			return false;
		(*at)++;
		return true;
	}
	while ((**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z'))
		(*at)++;
	return *at > from;
}

/* "[+-]hh[:mm[:ss]]" */
static bool rule_time(const char **at, int64_t *ret_s)
{
	bool negative = **at == '-';
	int h, m = 0, s = 0;

	*at += **at == '-' || **at == '+';
	if (!rule_number(at, 0, 167, &h))
		return false;
	if (**at == ':' && ((*at)++, !rule_number(at, 0, 59, &m)))
		return false;
	if (**at == ':' && ((*at)++, !rule_number(at, 0, 59, &s)))
		return false;
	*ret_s = (int64_t)h * 3600 + m * 60 + s;
	if (negative)
		*ret_s = -*ret_s;
	return true;
}

/* ",M3.5.0/2", ",J60", ",59" */
static bool rule_change(const char **at, struct zone_change *ret)
{
	*ret = (struct zone_change){ .time_s = 2 * INT64_C(3600) };
	if (*(*at)++ != ',')
		return false;
	if (**at == 'M') {
		(*at)++;
		ret->kind = CHANGE_MONTH;
		if (!rule_number(at, 1, 12, &ret->month) || *(*at)++ != '.' ||
		    !rule_number(at, 1, 5, &ret->week) || *(*at)++ != '.' ||
		    !rule_number(at, 0, 6, &ret->day))
			return false;
	} else if (**at == 'J') {
		(*at)++;
		ret->kind = CHANGE_JULIAN;
		if (!rule_number(at, 1, 365, &ret->day))
			return false;
	} else {
		ret->kind = CHANGE_DAY;
		if (!rule_number(at, 0, 365, &ret->day))
			return false;
	}
	if (**at != '/')
		return true;
	(*at)++;
	return rule_time(at, &ret->time_s);
}

/* Its offsets are west of UTC. */
static bool rule_parse(const char *text, struct rule *ret)
{
	int64_t west_s;

	*ret = (struct rule){ 0 };
	if (!rule_name(&text) || !rule_time(&text, &west_s))
		return false;
	ret->standard_s = -west_s;
	if (*text == '\0')
		return true;
	ret->has_summer = true;
	ret->summer_s = ret->standard_s + 3600;
	if (!rule_name(&text))
		return false;
	if (*text != ',' && *text != '\0') {
		if (!rule_time(&text, &west_s))
			return false;
		ret->summer_s = -west_s;
	}
	return rule_change(&text, &ret->begin) && rule_change(&text, &ret->end) && *text == '\0';
}

/* ---- the file ---- */

struct zone_header {
	uint64_t utc, standard, leaps, transitions, types, names;
};

static uint64_t be(const unsigned char *p, int bytes)
{
	uint64_t n = 0;

	for (int i = 0; i < bytes; i++)
		n = n << 8 | p[i];
	return n;
}

#define HEADER_BYTES 44u

static bool header_read(const unsigned char *p, size_t n, struct zone_header *ret)
{
	if (n < HEADER_BYTES || memcmp(p, "TZif", 4) != 0)
		return false;
	ret->utc = be(p + 20, 4);
	ret->standard = be(p + 24, 4);
	ret->leaps = be(p + 28, 4);
	ret->transitions = be(p + 32, 4);
	ret->types = be(p + 36, 4);
	ret->names = be(p + 40, 4);
	return ret->types > 0 && ret->transitions < FILE_BYTES_MAX && ret->types < 256 &&
	       ret->names < FILE_BYTES_MAX && ret->leaps < FILE_BYTES_MAX && ret->utc < 256 &&
	       ret->standard < 256;
}

static uint64_t data_bytes(const struct zone_header *h, uint64_t time_bytes)
{
	return h->transitions * (time_bytes + 1) + h->types * 6 + h->names +
	       h->leaps * (time_bytes + 4) + h->standard + h->utc;
}

static int64_t type_offset_s(const unsigned char *types, uint64_t number)
{
	return (int32_t)be(types + number * 6, 4);
}

/* *ret NULL: it is bad. False: memory is out. */
static bool block_read(const unsigned char *p, const struct zone_header *h, struct zone **ret)
{
	const unsigned char *numbers = p + h->transitions * 8;
	const unsigned char *types = numbers + h->transitions;
	struct zone *z = calloc(1, sizeof(*z) + h->transitions * sizeof(z->transitions[0]));

	*ret = NULL;
	if (z == NULL)
		return false;
	z->n = h->transitions;
	z->first_s = type_offset_s(types, 0);
	for (size_t i = 0; i < z->n; i++) {
		z->transitions[i].at = (int64_t)be(p + i * 8, 8);
		if (numbers[i] >= h->types ||
		    (i > 0 && z->transitions[i].at <= z->transitions[i - 1].at)) {
			free(z);
			return true;
		}
		z->transitions[i].offset_s = type_offset_s(types, numbers[i]);
	}
	*ret = z;
	return true;
}

/* The line behind the data: "\nRULE\n"; an empty one: the last offset stays. */
static bool footer_read(const char *p, size_t n, struct zone *z)
{
	char text[128];
	const char *end = n > 1 && p[0] == '\n' ? memchr(p + 1, '\n', n - 1) : NULL;

	if (end == NULL || (size_t)(end - p - 1) >= sizeof(text))
		return false;
	memcpy(text, p + 1, (size_t)(end - p - 1));
	text[end - p - 1] = '\0';
	if (text[0] != '\0')
		return rule_parse(text, &z->rule);
	z->rule.standard_s = z->n > 0 ? z->transitions[z->n - 1].offset_s : z->first_s;
	return true;
}

bool zone_parse(const void *bytes, size_t n, struct zone **ret, struct error *err)
{
	const unsigned char *p = bytes;
	struct zone_header h;

	*ret = NULL;
	if (!header_read(p, n, &h) || p[4] < '2')
		return true;
	uint64_t skip = HEADER_BYTES + data_bytes(&h, 4); /* the same with times of 32 bits */
	if (skip > n || !header_read(p + skip, n - skip, &h))
		return true;
	uint64_t at = skip + HEADER_BYTES, data = data_bytes(&h, 8);
	if (data > n - at)
		return true;
	if (!block_read(p + at, &h, ret))
		return fail_memory(err);
	if (*ret != NULL && !footer_read((const char *)p + at + data, n - at - data, *ret))
		free(TAKE(*ret));
	return true;
}

/* ---- by name ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct zone *known; /* under the lock; what is in it does not change */

/* Letters, digits, "_+-", in parts divided by single slashes: no path leads out of the database. */
static bool is_name(const char *name)
{
	if (name[0] == '\0' || name[0] == '/' || strlen(name) >= sizeof(known->name))
		return false;
	for (const char *p = name; *p != '\0'; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			      (*p >= '0' && *p <= '9') || *p == '_' || *p == '+' || *p == '-';
		if (!letter && (*p != '/' || p[1] == '/' || p[1] == '\0'))
			return false;
	}
	return true;
}

/* *ret NULL: there is no such file, or it is none of the database. */
static bool file_read(const char *name, struct zone **ret, struct error *err)
{
	const char *dir = getenv("TZDIR");
	AUTO(auto_free) char *bytes = malloc(FILE_BYTES_MAX);
	char path[512];
	size_t n = 0;
	ssize_t got = 1;

	*ret = NULL;
	if (bytes == NULL)
		return fail_memory(err);
	snprintf(path, sizeof(path), "%.400s/%s", dir != NULL ? dir : ZONEINFO, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ||
		       fail_sys(err, errno, "opening %s", path);
	while (got > 0 && n < FILE_BYTES_MAX) {
		got = read(fd, bytes + n, FILE_BYTES_MAX - n);
		n += got > 0 ? (size_t)got : 0;
	}
	int fault = got < 0 ? errno : 0;
	close(fd);
	if (fault != 0)
		return fault == EISDIR || fail_sys(err, fault, "reading %s", path);
	return zone_parse(bytes, n, ret, err);
}

bool zone_find(const char *name, const struct zone **ret, bool *ret_known, struct error *err)
{
	struct zone *z = NULL;

	*ret_known = is_name(name);
	if (!*ret_known)
		return true;
	pthread_mutex_lock(&lock);
	for (z = known; z != NULL && strcmp(z->name, name) != 0; z = z->next)
		;
	bool ok = z != NULL || file_read(name, &z, err);
	if (ok && z != NULL && z->name[0] == '\0') {
		snprintf(z->name, sizeof(z->name), "%s", name);
		z->next = known;
		known = z;
	}
	pthread_mutex_unlock(&lock);
	*ret_known = z != NULL;
	*ret = z;
	return ok;
}

/* ---- offsets ---- */

/* The server's own zone; localtime_r() may leave out to look at TZ, once tzset() has. */
static int64_t server_offset_s(int64_t at)
{
	time_t t = (time_t)at;
	struct tm tm;

	return localtime_r(&t, &tm) != NULL ? tm.tm_gmtoff : 0;
}

int64_t zone_offset_s(const struct zone *z, int64_t at)
{
	if (z == NULL)
		return server_offset_s(at);
	if (z->n == 0 || at >= z->transitions[z->n - 1].at)
		return rule_offset_s(&z->rule, at);
	if (at < z->transitions[0].at)
		return z->first_s;
	size_t low = 0, high = z->n - 1; /* transitions[low].at <= at < transitions[high].at */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (z->transitions[middle].at <= at)
			low = middle;
		else
			high = middle;
	}
	return z->transitions[low].offset_s;
}
