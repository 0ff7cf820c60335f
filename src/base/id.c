/* id.c: random ids and API keys. */
#include "base/id.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void random_bytes(void *p, size_t n)
{
	char *to = p;

	while (n > 0) {
		ssize_t got = getrandom(to, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			perror("getrandom"); /* ids that repeat would mix up customers' files */
			abort();
		}
		to += got;
		n -= (size_t)got;
	}
}

/* A result line needs an id, 25,000 of them a second: a system call for each would cost more than
 * the rest of the line's bookkeeping, so each thread draws its random bytes 4 KiB at a time. We
 * never fork and go on in the child, so no pool is ever used twice. */
static _Thread_local struct {
	unsigned char bytes[4096];
	size_t left;
} pool;

static unsigned char pool_byte(void)
{
	if (pool.left == 0) {
		random_bytes(pool.bytes, sizeof(pool.bytes));
		pool.left = sizeof(pool.bytes);
	}
	return pool.bytes[--pool.left];
}

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char hex[] = "0123456789abcdef";

/* Writes `prefix` and `n` characters of base62. Bytes from 248 (4 x 62) up are thrown away, for
 * taken modulo 62 they would make the first eight characters likelier than the others. */
static void make_base62(char *to, const char *prefix, size_t n)
{
	to = stpcpy(to, prefix);
	while (n > 0) {
		unsigned char byte = pool_byte();
		if (byte >= 248)
			continue;
		*to++ = base62[byte % 62];
		n--;
	}
	*to = '\0';
}

static void put_hex(char *to, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		*to++ = hex[bytes[i] >> 4];
		*to++ = hex[bytes[i] & 15];
	}
	*to = '\0';
}

/* Writes `prefix` and 32 hex digits. */
static void make_hex(char *to, const char *prefix)
{
	unsigned char bytes[16];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = pool_byte();
	put_hex(stpcpy(to, prefix), bytes, sizeof(bytes));
}

void id_file(char ret[static ID_SIZE])
{
	make_base62(ret, "file-", 24);
}

void id_batch(char ret[static ID_SIZE])
{
	make_hex(ret, "batch_");
}

void id_batch_request(char ret[static ID_SIZE])
{
	make_base62(ret, "batch_req_", 24);
}

void id_upload(char ret[static ID_SIZE])
{
	make_hex(ret, "upload_");
}

void id_part(char ret[static ID_SIZE])
{
	make_hex(ret, "part_");
}

void id_request(char ret[static ID_SIZE])
{
	make_hex(ret, "req_");
}

void id_org(char ret[static ID_SIZE])
{
	make_base62(ret, "org-", 24);
}

void id_key(char ret[static ID_SIZE])
{
	make_base62(ret, "key_", 24);
}

void id_event(char ret[static ID_SIZE])
{
	make_hex(ret, "evt_");
}

void id_delivery(char ret[static ID_SIZE])
{
	make_hex(ret, "wh_");
}

void id_endpoint(char ret[static ID_SIZE])
{
	make_hex(ret, "we_");
}

void id_secret(char ret[static 64])
{
	make_base62(ret, "sk-", 48);
	/* The bytes that a key was made of must not stay behind in the pool. */
	explicit_bzero(&pool, sizeof(pool));
}

void id_secret_hint(const char *secret, char ret[static 16])
{
	size_t n = strlen(secret) / 4;

	snprintf(ret, 16, "%.*s…", n < SECRET_HINT_CHARACTERS ? (int)n : SECRET_HINT_CHARACTERS,
		 secret);
}

void id_secret_hash(struct slice secret, char ret[static 65])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	if (SHA256((const unsigned char *)(secret.n > 0 ? secret.p : ""), secret.n, digest) == NULL)
		abort(); /* only a broken libcrypto; an all-zero hash would let anyone in */
	put_hex(ret, digest, sizeof(digest));
}
