/* signature.c: base64 and HMAC by OpenSSL. */
#include "webhook/signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"

#define PREFIX_BYTES (sizeof(SECRET_PREFIX) - 1)
#define HINT_CHARACTERS 4

void secret_make(char ret[static WEBHOOK_SECRET_BYTES])
{
	unsigned char key[SECRET_KEY_BYTES];

	random_bytes(key, sizeof(key));
	memcpy(ret, SECRET_PREFIX, PREFIX_BYTES);
	EVP_EncodeBlock((unsigned char *)ret + PREFIX_BYTES, key, sizeof(key));
	OPENSSL_cleanse(key, sizeof(key));
}

/* OpenSSL's decoder wants whole groups of four, and counts the padding as bytes. */
static bool secret_key(const char *secret, unsigned char to[static WEBHOOK_SECRET_BYTES],
		       size_t *ret_n)
{
	size_t n = strlen(secret);

	if (n >= WEBHOOK_SECRET_BYTES || strncmp(secret, SECRET_PREFIX, PREFIX_BYTES) != 0)
		return false;
	const char *text = secret + PREFIX_BYTES;
	n -= PREFIX_BYTES;
	size_t padding = n > 0 && text[n - 1] == '=' ? 1 + (n > 1 && text[n - 2] == '=') : 0;
	if (n == 0 || n % 4 != 0 || strcspn(text, "=") != n - padding)
		return false;
	int got = EVP_DecodeBlock(to, (const unsigned char *)text, (int)n);
	if (got < 0)
		return false;
	*ret_n = (size_t)got - padding;
	return true;
}

bool secret_is_good(const char *secret)
{
	unsigned char key[WEBHOOK_SECRET_BYTES];
	size_t n = 0;
	bool good = secret_key(secret, key, &n) && n >= SECRET_KEY_BYTES_MIN;

	OPENSSL_cleanse(key, sizeof(key));
	return good;
}

void secret_hint(const char *secret, char ret[static SECRET_HINT_BYTES])
{
	snprintf(ret, SECRET_HINT_BYTES, "%.*s…", (int)PREFIX_BYTES + HINT_CHARACTERS, secret);
}

bool signature_append(const char *secret, const char *id, int64_t timestamp, struct slice body,
		      struct buf *to)
{
	AUTO(buf_free) struct buf text = BUF(1u << 20);
	unsigned char key[WEBHOOK_SECRET_BYTES], digest[SHA256_DIGEST_LENGTH];
	char base64[2 * SHA256_DIGEST_LENGTH];
	unsigned digest_n = 0;
	size_t key_n = 0;

	buf_printf(&text, "%s.%lld.", id, (long long)timestamp);
	buf_add(&text, body);
	if (text.failed || !secret_key(secret, key, &key_n))
		return false;
	bool made = HMAC(EVP_sha256(), key, (int)key_n, (const unsigned char *)text.p, text.n,
			 digest, &digest_n) != NULL;
	OPENSSL_cleanse(key, sizeof(key));
	if (!made)
		return false;
	EVP_EncodeBlock((unsigned char *)base64, digest, (int)digest_n);
	buf_printf(to, "v1,%s", base64);
	return !to->failed;
}
