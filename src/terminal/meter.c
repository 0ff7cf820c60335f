/* meter.c: progress in figures and as a bar. */
#include "terminal/meter.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"

#define SAMPLE_EVERY_MS 320u

/* ---- speed ---- */

static const struct sample *sample_at(const struct meter *m, unsigned i)
{
	return &m->samples[(m->first + i) % METER_SAMPLES];
}

/* The newest sample is overwritten until it is a third of a second after the one before it. */
void meter_add(struct meter *m, uint64_t now_ms, uint64_t lines, uint64_t tokens)
{
	bool replace = m->count >= 2 &&
		       now_ms - sample_at(m, m->count - 2)->at_ms < SAMPLE_EVERY_MS;

	if (!replace && m->count == METER_SAMPLES)
		m->first = (m->first + 1) % METER_SAMPLES;
	else if (!replace)
		m->count++;
	m->samples[(m->first + m->count - 1) % METER_SAMPLES] = (struct sample){ now_ms, lines,
										 tokens };
}

void meter_speed(const struct meter *m, struct meter_view *view)
{
	view->lines_per_s = 0;
	view->tokens_per_s = 0;
	view->eta_s = -1;
	if (m->count < 2)
		return;
	const struct sample *old = sample_at(m, 0), *new = sample_at(m, m->count - 1);
	double seconds = (double)(new->at_ms - old->at_ms) / 1000;
	if (seconds <= 0 || new->lines < old->lines || new->tokens < old->tokens)
		return;
	view->lines_per_s = (double)(new->lines - old->lines) / seconds;
	view->tokens_per_s = (double)(new->tokens - old->tokens) / seconds;
	if (view->lines_per_s > 0 && view->done <= view->total)
		view->eta_s = (int64_t)((double)(view->total - view->done) / view->lines_per_s +
					0.5);
}

/* ---- figures ---- */

void meter_span(int64_t seconds, char to[static 24])
{
	long long s = seconds;

	if (s < 60)
		snprintf(to, 24, "%llds", s);
	else if (s < 3600)
		snprintf(to, 24, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(to, 24, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(to, 24, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

void meter_rate(double per_s, char to[static 24])
{
	if (per_s < 9.95)
		snprintf(to, 24, "%.1f", per_s);
	else if (per_s < 9999.5)
		snprintf(to, 24, "%.0f", per_s);
	else if (per_s < 999950)
		snprintf(to, 24, "%.1fk", per_s / 1e3);
	else
		snprintf(to, 24, "%.1fM", per_s / 1e6);
}

/* ---- the bar ---- */

#define BAR_MIN 10
#define BAR_MAX 40
#define BETWEEN 2 /* blanks */

/* In the order shown. */
enum piece {
	PIECE_BAR,
	PIECE_PERCENT,
	PIECE_COUNT,
	PIECE_FAILED,
	PIECE_LINES,
	PIECE_TOKENS,
	PIECE_ETA,
	PIECE_WAITING,
	PIECES
};

/* What goes first when there is little room; the count stays. */
static const enum piece dispensable[] = { PIECE_PERCENT, PIECE_BAR, PIECE_TOKENS, PIECE_LINES,
					  PIECE_FAILED,  PIECE_ETA, PIECE_WAITING };

struct pieces {
	char text[PIECES][64]; /* "": not shown */
};

/* How much of `whole` is done. Counts may be a server's: there may be more done than there is. */
static size_t share(const struct meter_view *view, size_t whole)
{
	if (view->total == 0)
		return 0;
	if (view->done >= view->total)
		return whole;
	return (size_t)((double)view->done * (double)whole / (double)view->total);
}

static void pieces_fill(struct pieces *p, const struct meter_view *view)
{
	char lines[24], tokens[24], eta[24] = "-";

	meter_rate(view->lines_per_s, lines);
	meter_rate(view->tokens_per_s, tokens);
	if (view->eta_s >= 0)
		meter_span(view->eta_s, eta);
	*p = (struct pieces){ 0 };
	snprintf(p->text[PIECE_BAR], sizeof(p->text[0]), "%*s", BAR_MIN, "");
	snprintf(p->text[PIECE_PERCENT], sizeof(p->text[0]), "%3zu%%", share(view, 100));
	snprintf(p->text[PIECE_COUNT], sizeof(p->text[0]), "%" PRIu64 "/%" PRIu64, view->done,
		 view->total);
	snprintf(p->text[PIECE_FAILED], sizeof(p->text[0]), "%" PRIu64 " failed", view->failed);
	snprintf(p->text[PIECE_LINES], sizeof(p->text[0]), "%s lines/s", lines);
	snprintf(p->text[PIECE_TOKENS], sizeof(p->text[0]), "%s tokens/s", tokens);
	snprintf(p->text[PIECE_ETA], sizeof(p->text[0]), "ETA %s", eta);
	if (view->waiting != NULL)
		snprintf(p->text[PIECE_WAITING], sizeof(p->text[0]), "waiting: %s", view->waiting);
}

static size_t pieces_width(const struct pieces *p)
{
	size_t width = 0;

	for (unsigned i = 0; i < PIECES; i++)
		if (p->text[i][0] != '\0')
			width += strlen(p->text[i]) + (width > 0 ? BETWEEN : 0);
	return width;
}

/* "[====>     ]" of `width` characters, brackets included. */
static void draw_bar(const struct meter_view *view, size_t width, char to[static 64])
{
	size_t room = width - 2;
	size_t full = share(view, room);
	size_t n = 0;

	to[n++] = '[';
	memset(to + n, ' ', room);
	memset(to + n, '=', full);
	if (full < room)
		to[n + full] = '>';
	n += room;
	to[n++] = ']';
	to[n] = '\0';
}

void meter_bar(const struct meter_view *view, size_t columns, char *to, size_t size)
{
	struct pieces p;
	size_t n = 0;

	pieces_fill(&p, view);
	for (size_t i = 0; i < ARRAY_LEN(dispensable) && pieces_width(&p) > columns; i++)
		p.text[dispensable[i]][0] = '\0';
	if (p.text[PIECE_BAR][0] != '\0') {
		size_t width = BAR_MIN + columns - pieces_width(&p);
		draw_bar(view, width < BAR_MAX ? width : BAR_MAX, p.text[PIECE_BAR]);
	}
	to[0] = '\0';
	for (unsigned i = 0; i < PIECES && n < size; i++)
		if (p.text[i][0] != '\0')
			n += (size_t)snprintf(to + n, size - n, "%*s%s", n > 0 ? BETWEEN : 0, "",
					      p.text[i]);
	if (columns < size)
		to[columns] = '\0'; /* narrower than the count itself */
}

void meter_line(const struct meter_view *view, char *to, size_t size)
{
	struct pieces p;

	pieces_fill(&p, view);
	snprintf(to, size, "%s lines, %s, %s, %s, %s%s%s", p.text[PIECE_COUNT],
		 p.text[PIECE_FAILED], p.text[PIECE_LINES], p.text[PIECE_TOKENS], p.text[PIECE_ETA],
		 view->waiting != NULL ? ", " : "", p.text[PIECE_WAITING]);
}
