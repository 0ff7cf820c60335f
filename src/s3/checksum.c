/* checksum.c: SHA-256, in hexadecimal as a signature has it and in base64 as a checksum. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "s3/s3_impl.h"

#define PIECE_BYTES (64u << 10)

static void context_free(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

static bool hash_begin(EVP_MD_CTX **ret, struct error *err)
{
	*ret = EVP_MD_CTX_new();
	return (*ret != NULL && EVP_DigestInit_ex(*ret, EVP_sha256(), NULL) == 1) ||
	       fail_memory(err);
}

static bool hash_end(EVP_MD_CTX *c, struct s3_hash *ret, struct error *err)
{
	unsigned char sum[32];

	if (EVP_DigestFinal_ex(c, sum, NULL) != 1)
		return fail_memory(err);
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(ret->hex + 2 * i, 3, "%02x", sum[i]);
	EVP_EncodeBlock((unsigned char *)ret->base64, sum, sizeof(sum));
	return true;
}

bool s3_hash_bytes(struct slice bytes, struct s3_hash *ret, struct error *err)
{
	AUTO(context_free) EVP_MD_CTX *c = NULL;

	return hash_begin(&c, err) &&
	       (EVP_DigestUpdate(c, bytes.p, bytes.n) == 1 || fail_memory(err)) &&
	       hash_end(c, ret, err);
}

bool s3_hash_body(const struct s3_body *body, struct s3_hash *ret, struct error *err)
{
	AUTO(context_free) EVP_MD_CTX *c = NULL;
	AUTO(auto_free) char *piece = NULL;
	uint64_t bytes = body != NULL ? body->bytes : 0;

	if (!hash_begin(&c, err))
		return false;
	if (bytes > 0 && (piece = malloc(PIECE_BYTES)) == NULL)
		return fail_memory(err);
	for (uint64_t at = 0; at < bytes;) {
		size_t n = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
		if (!body->read(body->ctx, at, piece, n, err))
			return false;
		if (EVP_DigestUpdate(c, piece, n) != 1)
			return fail_memory(err);
		at += n;
	}
	return hash_end(c, ret, err);
}
