/* line_feed.h: lines of bytes that come in pieces of any size. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

#define LINE_FEED_BYTES_MAX (1u << 30)

struct line_feed {
	bool (*line)(void *ctx, struct slice line, struct error *err); /* without its LF */
	void *ctx;
	struct buf part; /* of a line whose end has not come */
};

#define LINE_FEED(take, context)                   \
	{                                          \
		take, context,                     \
		{                                  \
			.max = LINE_FEED_BYTES_MAX \
		}                                  \
	}

void line_feed_free(struct line_feed *f);
MUST_USE bool line_feed_add(struct line_feed *f, struct slice piece, struct error *err);
/* Nothing more comes: a last line without an end is one. */
MUST_USE bool line_feed_end(struct line_feed *f, struct error *err);
