/* result_files.c: see result_files.h. */
#include "pipeline/result_files.h"

#include <stdio.h>
#include <string.h>

static void result_file(const struct batch *b, const char *id, const char *what, int64_t now,
			uint64_t expires_after_s, struct file *ret)
{
	uint64_t expires_s = b->output_expires_after_s > 0 ? (uint64_t)b->output_expires_after_s
							   : expires_after_s;

	*ret = (struct file){ .purpose = PURPOSE_BATCH_OUTPUT, .created_at = now };
	memcpy(ret->id, id, sizeof(ret->id));
	memcpy(ret->org, b->org, sizeof(ret->org));
	ret->expires_at = expires_s > 0 ? now + (int64_t)expires_s : 0;
	snprintf(ret->filename, sizeof(ret->filename), "%s_%s.jsonl", b->id, what);
}

void result_files(const struct batch *b, const struct merge_state *m, uint64_t expires_after_s,
		  int64_t now, struct file *ret_output, struct file *ret_error)
{
	result_file(b, b->output_file_id, "output", now, expires_after_s, ret_output);
	ret_output->bytes = m->output_bytes;
	ret_output->lines = m->output_lines;
	result_file(b, b->error_file_id, "error", now, expires_after_s, ret_error);
	ret_error->bytes = m->error_bytes;
	ret_error->lines = m->error_lines;
}
