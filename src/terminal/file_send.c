/* file_send.c: see file_send.h. */
#include "terminal/file_send.h"

#include "base/id.h"
#include "terminal/transfer_bar.h"

struct file_sending {
	const struct upload_job *how;
	struct transfer_bar bar;
};

static bool on_keep(void *ctx, struct error *err)
{
	const struct file_sending *s = ctx;

	return s->how->keep == NULL || s->how->keep(s->how->ctx, err);
}

static void on_progress(void *ctx, uint64_t done)
{
	struct file_sending *s = ctx;

	transfer_bar_show(&s->bar, done);
}

bool file_send(struct remote *r, const struct request_file *in, const struct upload_job *how,
	       struct error *err)
{
	struct file_sending s = { .how = how };
	char own_key[ID_SIZE];
	const struct upload_job job = {
		.fd = in->fd,
		.size = in->size,
		.path = in->path,
		.name = in->name,
		.key = how->key != NULL ? how->key : own_key,
		.state = how->state,
		.keep = on_keep,
		.progress = on_progress,
		.ctx = &s,
	};

	id_request(own_key);
	transfer_bar_open(&s.bar, in->size);
	bool good = upload_run(r, &job, err);
	transfer_bar_close(&s.bar);
	return good;
}
