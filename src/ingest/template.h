/* template.h: the lines of a file are mostly made by one program: they differ in their custom_id and in
 * the texts of their prompt, and are alike byte for byte between these. A template is what was alike in
 * the last line that was scanned. A line that agrees with it needs no scanner: its texts are looked at as
 * strings, the rest is compared. What it says of itself is what line_scan() would find, always.
 *
 * Pure, no allocation; belongs to one thread at a time. */
#pragma once

#include "ingest/line.h"

#define TEMPLATE_BYTES 2048 /* that are alike; a line with more is scanned */
#define TEMPLATE_TEXTS 24   /* that differ */
#define TEMPLATE_PARTS 10   /* slices of line_facts */

/* All zero at first. */
struct line_template {
	bool made;
	unsigned misses, pause;  /* lines in turn that were not alike; how many are not tried */
	struct line_facts facts; /* of the line that it was made of */
	uint32_t texts;          /* how many differ */
	uint32_t custom_id;      /* which of them that is */
	/* Bytes that are alike before each text, and behind the last; where each text ended. */
	uint32_t alike[TEMPLATE_TEXTS + 1], text_end[TEMPLATE_TEXTS];
	/* Of each slice of `facts`: where it began and ended, and how many texts had ended there. */
	struct template_part {
		uint32_t begin, end, begin_texts, end_texts;
	} parts[TEMPLATE_PARTS];
	char bytes[TEMPLATE_BYTES];
};

/* As line_scan(). */
void line_scan_like(struct line_template *t, struct slice line, struct line_facts *ret);
