/* signature.h: secrets of webhooks and what is signed with them (contract 12, Standard Webhooks).
 * Any thread. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "store/webhooks.h"

#define SECRET_PREFIX "whsec_"
#define SECRET_KEY_BYTES 32     /* of those made here */
#define SECRET_KEY_BYTES_MIN 16 /* of those that people bring */

/* "whsec_" and the base64 of SECRET_KEY_BYTES random bytes. */
void secret_make(char ret[static WEBHOOK_SECRET_BYTES]);
/* Whether it is one: "whsec_", then base64 of SECRET_KEY_BYTES_MIN bytes or more. */
bool secret_is_good(const char *secret);
/* Its first characters, to recognise it by: "whsec_Rdva…". */
#define SECRET_HINT_BYTES 24
void secret_hint(const char *secret, char ret[static SECRET_HINT_BYTES]);

/* Appends "v1,BASE64": HMAC-SHA256 over `ID.TIMESTAMP.BODY`. False: the secret is none, or there is
 * no memory. */
MUST_USE bool signature_append(const char *secret, const char *id, int64_t timestamp,
			       struct slice body, struct buf *to);
