/* leftover.c: uploads in parts whose owner has died: listed, then aborted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "s3/s3_impl.h"

#define ID_BYTES 1024
#define AT_ONCE 256u

struct left {
	char key[S3_KEY_SIZE]; /* below the prefix */
	char id[ID_BYTES];
};

struct looking {
	const struct s3 *s;
	int64_t until;
	char key[S3_KEY_SIZE], id[ID_BYTES]; /* of the upload that is being read */
	int64_t begun;
	struct left *left; /* AT_ONCE */
	unsigned n;
};

static void upload_end(struct looking *l)
{
	size_t n = strlen(l->s->prefix);

	if (l->n < AT_ONCE && l->begun > 0 && l->begun <= l->until && l->id[0] != '\0' &&
	    strncmp(l->key, l->s->prefix, n) == 0) {
		struct left *left = &l->left[l->n++];
		memcpy(left->key, l->key + n, strlen(l->key + n) + 1);
		memcpy(left->id, l->id, sizeof(left->id));
	}
	l->key[0] = l->id[0] = '\0';
	l->begun = 0;
}

static bool on_element(void *ctx, const char *around, const char *name, struct slice text,
		       struct error *err)
{
	struct looking *l = ctx;

	(void)err;
	if (strcmp(name, "Upload") == 0)
		upload_end(l);
	else if (strcmp(around, "Upload") != 0)
		return true;
	else if (strcmp(name, "Key") == 0)
		(void)slice_copy(text, l->key, sizeof(l->key));
	else if (strcmp(name, "UploadId") == 0)
		(void)slice_copy(text, l->id, sizeof(l->id));
	else if (strcmp(name, "Initiated") == 0)
		l->begun = s3_time(text);
	return true;
}

static bool uploads_list(struct s3 *s, const char *begin, struct looking *l, struct error *err)
{
	AUTO(buf_free) struct buf query = BUF(S3_URL_SIZE);
	struct s3_sink sink = { .text = BUF(S3_ANSWER_BYTES) };
	struct s3_call c = { .method = "GET", .what = "listing the uploads of" };
	struct s3_answer answer;

	buf_text(&query, "prefix=");
	s3_escape(&query, s->prefix);
	s3_escape(&query, begin);
	buf_text(&query, "&uploads=");
	buf_char(&query, '\0');
	if (query.failed)
		return fail_memory(err);
	c.query = query.p;
	l->n = 0;
	bool ok = s3_call(s, &c, &sink, &answer, err) &&
		  s3_xml_read(buf_slice(&sink.text), on_element, l, err);
	buf_free(&sink.text);
	return ok;
}

static bool upload_abort(struct s3 *s, const struct left *left, struct error *err)
{
	AUTO(buf_free) struct buf query = BUF(S3_URL_SIZE);
	struct s3_call c = { .method = "DELETE", .key = left->key, .what = "aborting" };
	struct s3_answer answer;

	buf_text(&query, "uploadId=");
	s3_escape(&query, left->id);
	buf_char(&query, '\0');
	if (query.failed)
		return fail_memory(err);
	c.query = query.p;
	return s3_call(s, &c, NULL, &answer, err) || err->sys == ENOENT;
}

/* What was aborted is in the next list no more: so pages need not be turned. */
bool s3_uploads_abort(struct s3 *s, const char *begin, int64_t until, unsigned *ret_n,
		      struct error *err)
{
	AUTO(auto_free) struct left *left = calloc(AT_ONCE, sizeof(*left));
	struct looking l = { .s = s, .until = until, .left = left };

	*ret_n = 0;
	if (left == NULL)
		return fail_memory(err);
	do {
		if (!uploads_list(s, begin, &l, err))
			return false;
		for (unsigned i = 0; i < l.n; i++)
			if (!upload_abort(s, &left[i], err))
				return false;
		*ret_n += l.n;
	} while (l.n == AT_ONCE);
	return true;
}
