/* prometheus.c: a metric is a run of entries of the table: one with a name, and those without
 * behind it. */
#include "api/prometheus.h"

static void label_write(struct buf *to, const char *name, struct slice value)
{
	buf_text(to, name);
	buf_text(to, "=\"");
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		if (c == '"' || c == '\\' || c == '\n')
			buf_char(to, '\\');
		if (c == '\n')
			c = 'n';
		buf_char(to, c);
	}
	buf_char(to, '"');
}

/* `before`: what separates it from the one before. */
static char label_add(struct buf *to, char before, const struct metric_label *l, const void *row)
{
	if (l->name == NULL)
		return before;
	buf_char(to, before);
	label_write(to, l->name, l->value != NULL ? slice_of(l->value) : column_text(l->from, row));
	return ',';
}

static void labels_write(struct buf *to, const struct metric *m, const struct metric_rows *rows,
			 const void *row)
{
	char before = '{';

	for (size_t i = 0; i < METRIC_LABELS_MAX; i++)
		before = label_add(to, before, &rows->labels[i], row);
	if (label_add(to, before, &m->own, row) == ',')
		buf_char(to, '}');
}

static void line_write(struct buf *to, const char *name, const struct metric *m,
		       const struct metric_rows *rows, const void *row)
{
	if (column_is_unknown(m->value, row))
		return;
	buf_text(to, name);
	labels_write(to, m, rows, row);
	buf_char(to, ' ');
	column_number(m->value, row, m->decimals, to);
	buf_char(to, '\n');
}

/* `m` and the `series` - 1 entries behind it. */
static void metric_write(struct buf *to, const struct metric *m, size_t series,
			 const struct metric_rows *rows)
{
	buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
	for (size_t i = 0; i < rows->n; i++) {
		const void *row = (const char *)rows->first + i * rows->bytes;
		if (rows->shown != NULL && !rows->shown(row))
			continue;
		for (size_t k = 0; k < series; k++)
			line_write(to, m->name, &m[k], rows, row);
	}
}

void prometheus_write(struct buf *to, const struct metric *table, size_t n,
		      const struct metric_rows *rows)
{
	for (size_t at = 0, series; at < n; at += series) {
		for (series = 1; at + series < n && table[at + series].name == NULL; series++)
			;
		metric_write(to, &table[at], series, rows);
	}
}
