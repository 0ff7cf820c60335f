/* hashes.h: what an upload's bytes are hashed by: SHA-256 always, MD5 where it is wanted. */
#pragma once

#include <openssl/evp.h>
#include <semaphore.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/worker.h"

struct hashes {
	EVP_MD_CTX *sha256, *md5; /* `md5` NULL: not wanted */
	EVP_MD_CTX *lent;         /* the one of them that another updates; NULL: none */
	char sha256_hex[65], md5_hex[33];
	/* what a worker hashes (hashes_begin()) */
	struct work work;
	struct slice bytes;
	sem_t ended;
	bool begun, failed;
	struct error fault;
};

/* What is open after a failure is hashes_close()'s. */
MUST_USE bool hashes_open(struct hashes *h, bool md5, struct error *err);
/* All but the one that is lent. */
MUST_USE bool hashes_update(struct hashes *h, struct slice bytes, struct error *err);
/* The same, by a worker: between the two calls the bytes stay, and `h` is the worker's. */
void hashes_begin(struct hashes *h, struct workers *workers, struct slice bytes);
/* Without a hashes_begin() nothing is waited for. */
MUST_USE bool hashes_await(struct hashes *h, struct error *err);
/* The slower one, for another to update until h->lent is NULL again. */
EVP_MD_CTX *hashes_lend(struct hashes *h);
/* Fills in the hex, once. */
MUST_USE bool hashes_end(struct hashes *h, struct error *err);
void hashes_close(struct hashes *h);
