/* hashes.c */
#include "ingest/hashes.h"

#include <stdio.h>

static bool digest_open(EVP_MD_CTX **ret, const EVP_MD *kind, struct error *err)
{
	*ret = EVP_MD_CTX_new();
	return (*ret != NULL && EVP_DigestInit_ex(*ret, kind, NULL) == 1) || fail_memory(err);
}

bool hashes_open(struct hashes *h, bool md5, struct error *err)
{
	sem_init(&h->ended, 0, 0);
	return digest_open(&h->sha256, EVP_sha256(), err) &&
	       (!md5 || digest_open(&h->md5, EVP_md5(), err));
}

static bool digest_update(const struct hashes *h, EVP_MD_CTX *digest, struct slice bytes,
			  struct error *err)
{
	if (digest == NULL || digest == h->lent || EVP_DigestUpdate(digest, bytes.p, bytes.n) == 1)
		return true;
	return fail_sys(err, 0, "hashing an upload");
}

bool hashes_update(struct hashes *h, struct slice bytes, struct error *err)
{
	return digest_update(h, h->sha256, bytes, err) && digest_update(h, h->md5, bytes, err);
}

static void on_worker(void *arg)
{
	struct hashes *h = arg;

	h->failed = !hashes_update(h, h->bytes, &h->fault);
	sem_post(&h->ended);
}

void hashes_begin(struct hashes *h, struct workers *workers, struct slice bytes)
{
	h->begun = true;
	h->bytes = bytes;
	workers_post(workers, &h->work, on_worker, h);
}

bool hashes_await(struct hashes *h, struct error *err)
{
	if (!h->begun)
		return true;
	h->begun = false;
	while (sem_wait(&h->ended) != 0) /* EINTR */
		;
	if (h->failed)
		*err = h->fault;
	return !h->failed;
}

EVP_MD_CTX *hashes_lend(struct hashes *h)
{
	h->lent = h->md5 != NULL ? h->md5 : h->sha256;
	return h->lent;
}

static bool digest_end(EVP_MD_CTX *digest, char *hex, struct error *err)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned n;

	if (digest == NULL)
		return true;
	if (EVP_DigestFinal_ex(digest, bytes, &n) != 1)
		return fail_sys(err, 0, "hashing an upload");
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", bytes[i]);
	return true;
}

bool hashes_end(struct hashes *h, struct error *err)
{
	return digest_end(h->sha256, h->sha256_hex, err) && digest_end(h->md5, h->md5_hex, err);
}

void hashes_close(struct hashes *h)
{
	EVP_MD_CTX_free(h->sha256);
	EVP_MD_CTX_free(h->md5);
	sem_destroy(&h->ended);
}
