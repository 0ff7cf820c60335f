/* input_rules.c */
#include "api/input_rules.h"

bool input_purpose_check(struct slice purpose, struct error *err)
{
	if (slice_is(purpose, "batch") || slice_is(purpose, "batch-api"))
		return true;
	return fail_param(err, "purpose", "invalid_value",
			  "Invalid purpose: only 'batch' accepted");
}

bool input_empty_check(const struct api *api, uint64_t bytes, struct error *err)
{
	if (bytes > 0 || api->config.profile == PROFILE_OPENAI)
		return true;
	return fail(err, ERR_INVALID, "File size is zero, please confirm and re-upload the file");
}

bool input_first_line_check(struct api *api, const char *id, struct error *err)
{
	struct index *index;
	struct index_record first;
	struct blob_reader *file;

	if (!api->config.first_line_checked)
		return true;
	if (!blob_open(api->blobs, id, BLOB_INDEX, &file, err) || !index_open(file, &index, err))
		return false;
	bool any = index_summary(index)->lines > 0;
	bool ok = !any || index_read(index, 0, &first, 1, err);
	index_close(index);
	if (ok && any && (first.flags & (LINE_NOT_JSON | LINE_NOT_OBJECT)) != 0)
		return fail(
			err, ERR_INVALID,
			"Invalid file format for Batch API. The first line is not a JSON object.");
	return ok;
}

int64_t input_expires_at(const struct api *api, int64_t at, int64_t after_s)
{
	if (after_s == 0)
		after_s = (int64_t)api->config.input_expires_after_s;
	return after_s > 0 ? at + after_s : 0;
}
