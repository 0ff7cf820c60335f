/* call.c: a call: attempts, and the waits between them. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/sys.h"
#include "s3/s3_impl.h"

#define WAIT_MOST_MS 10000u
#define CODE_SIZE 64
#define AWAY_TRIES 2u /* attempts before the one that says that the store is away */

/* ---- waiting ---- */

static uint64_t random_upto(uint64_t most)
{
	uint64_t r;

	random_bytes(&r, sizeof(r));
	return r % (most + 1);
}

/* Anything from nothing to twice as long as before: those who failed together do not come back
 * together. */
static uint64_t wait_ms(const struct s3 *s, const struct s3_answer *answer, unsigned tries)
{
	uint64_t most = (uint64_t)s->backoff_ms << (tries < 16 ? tries : 16);
	uint64_t drawn = random_upto(most < WAIT_MOST_MS ? most : WAIT_MOST_MS);

	return answer->retry_after_ms > drawn ? answer->retry_after_ms : drawn;
}

/* False: the process ends. */
static bool wait_for(struct s3 *s, uint64_t ms)
{
	struct timespec until = clock_after_ms(ms);

	pthread_mutex_lock(&s->lock);
	while (!s->gives_up && pthread_cond_timedwait(&s->ends, &s->lock, &until) != ETIMEDOUT)
		;
	bool ends = s->gives_up;
	pthread_mutex_unlock(&s->lock);
	return !ends;
}

/* ---- an answer ---- */

/* Under the checksum of an object in parts stands "-N": of its parts' sums, none of the bytes. */
static bool is_checksum(const char *checksum)
{
	return strlen(checksum) == S3_CHECKSUM_SIZE - 1;
}

/* Whether what came, or what the store says it got, is what it should be. */
static bool bytes_are_right(const struct s3_attempt *a, struct error *err)
{
	const struct s3_answer *answer = &a->answer;
	struct s3_hash hash;

	if (a->call->range && answer->from != UINT64_MAX && answer->from != a->call->from)
		return fail_sys(err, EBADMSG, "%s %s: another range came than was asked for",
				a->call->what, a->call->key);
	if (!is_checksum(answer->checksum))
		return true;
	if (a->call->keeps_checksum)
		return strcmp(answer->checksum, answer->body_checksum) == 0 ||
		       fail_sys(err, EBADMSG, "%s %s: the store has other bytes than were sent",
				a->call->what, a->call->key);
	if (!a->sink->whole && !(a->call->range && answer->total == a->sink->n))
		return true;
	if (!s3_hash_bytes((struct slice){ a->sink->to, a->sink->n }, &hash, err))
		return false;
	return strcmp(answer->checksum, hash.base64) == 0 ||
	       fail_sys(err, EBADMSG, "%s %s: the object does not have the checksum that it had",
			a->call->what, a->call->key);
}

static bool is_good(const struct s3_attempt *a, const char *code)
{
	int status = a->answer.status;

	return a->code == CURLE_OK && code[0] == '\0' &&
	       (a->call->range ? status == 206 : status >= 200 && status < 300);
}

/* The store's word for what is wrong; "": it has none. False: no memory, or what should be XML is
 * none. */
static bool code_of(const struct s3_attempt *a, char ret[static CODE_SIZE], struct error *err)
{
	bool is_fault = a->answer.status >= 300;

	ret[0] = '\0';
	if (a->code != CURLE_OK || !(is_fault || a->call->xml))
		return true;
	return s3_xml_find(buf_slice(&a->sink->text), "Error", "Code", ret, CODE_SIZE, err) ||
	       err->sys == ENOMSG || (is_fault && err->sys != ENOMEM);
}

/* True: the call is over, with *ret_ok. */
static bool attempt_over(struct s3_attempt *a, unsigned tries, bool *ret_ok, struct error *err)
{
	char code[CODE_SIZE];

	*ret_ok = false;
	if (!s3_attempt_make(a)) {
		(void)!fail_memory(err);
		return true;
	}
	if (!code_of(a, code, err))
		return true;
	if (!is_good(a, code)) {
		(void)!s3_fault_say(a, code, err);
		return !s3_fault_passes(a, code);
	}
	*ret_ok = bytes_are_right(a, err);
	return *ret_ok || tries > 0 || err->sys == ENOMEM; /* altered on the way: once more */
}

/* Of these credentials; a store that cannot be believed to be the one has answered nothing. */
static bool is_refused(const struct s3_attempt *a)
{
	return a->code == CURLE_OK && !a->body_fault && a->err->sys == EACCES;
}

/* ---- how it stands ---- */

/* What one call's refusal says of all; one that no answer ended (memory, its body) says nothing.
 * Credentials that may not do one thing may do others. */
static enum s3_standing standing_of(const struct s3_attempt *a, bool ok, enum s3_standing before)
{
	bool answered = a->code == CURLE_OK && !a->body_fault;

	if (a->untrusted)
		return S3_AWAY;
	if (!ok && (!answered || a->err->sys == ENOMEM))
		return before;
	if (!ok && a->err->sys == ENODEV)
		return S3_NO_BUCKET;
	if (ok || a->err->sys != EACCES)
		return S3_ANSWERS;
	if (a->call->key == NULL || a->refuses_us)
		return S3_REFUSES;
	return before == S3_REFUSES ? S3_REFUSES : S3_DOUBTED;
}

/* Is told when it changes; what a start meets it tells itself. */
static void standing_set(struct s3 *s, enum s3_standing now, const struct error *err)
{
	bool answers = now == S3_ANSWERS || now == S3_DOUBTED;
	int before = atomic_exchange(&s->standing, (int)now);
	bool answered = before == S3_ANSWERS || before == S3_DOUBTED;

	if (!s->was_good || answers == answered)
		return;
	if (answers)
		log_info("blob.storage_back");
	else
		log_write_error(LOG_WARN,
				now == S3_AWAY ? "blob.storage_away" : "blob.storage_refuses", err,
				LOG_FIELDS(kv_str("bucket", s->bucket)));
}

static void standing_note(struct s3 *s, const struct s3_attempt *a, bool ok, unsigned tries,
			  bool over)
{
	if (over)
		standing_set(s, standing_of(a, ok, (enum s3_standing)s->standing), a->err);
	else if (tries >= AWAY_TRIES)
		standing_set(s, S3_AWAY, a->err);
	if (ok)
		s->was_good = true;
}

static bool call_run(struct s3 *s, const struct s3_call *c, struct s3_sink *sink,
		     const struct s3_hash *hash, struct s3_answer *ret, struct error *err)
{
	uint64_t until = sys.monotonic_ms() + s->patience_ms;
	bool ok;

	for (unsigned tries = 0;; tries++) {
		struct s3_attempt a = { .s = s, .call = c, .sink = sink, .err = err };
		a.hash = hash->hex;
		memcpy(a.answer.body_checksum, hash->base64, S3_CHECKSUM_SIZE);
		bool over = attempt_over(&a, tries, &ok, err);
		*ret = a.answer;
		if (over && !ok && is_refused(&a) && s3_keys_renew(s, a.keys_epoch))
			continue; /* at once, and without a word */
		standing_note(s, &a, ok, tries, over);
		if (over || tries + 1 >= s->attempts)
			return ok;
		uint64_t wait = wait_ms(s, &a.answer, tries);
		if (sys.monotonic_ms() + wait > until || !wait_for(s, wait))
			return false;
	}
}

bool s3_call(struct s3 *s, const struct s3_call *c, struct s3_sink *sink, struct s3_answer *ret,
	     struct error *err)
{
	struct s3_sink none = { .text = BUF(S3_ANSWER_BYTES) };
	struct s3_hash hash;

	if (!s3_hash_body(c->body, &hash, err))
		return false;
	bool ok = call_run(s, c, sink != NULL ? sink : &none, &hash, ret, err);
	buf_free(&none.text);
	return ok;
}
