/* id.h: random ids (contract 2.2) and API keys, from the kernel's random numbers. Any thread. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

#define ID_SIZE \
	48 /* bytes with the NUL: every id of ours fits; longer ones in requests are unknown */

void id_file(char ret[static ID_SIZE]);          /* file- + 24 base62 */
void id_batch(char ret[static ID_SIZE]);         /* batch_ + 32 hex */
void id_batch_request(char ret[static ID_SIZE]); /* batch_req_ + 24 base62 */
void id_upload(char ret[static ID_SIZE]);        /* upload_ + 32 hex */
void id_part(char ret[static ID_SIZE]);          /* part_ + 32 hex */
void id_request(char ret[static ID_SIZE]);       /* req_ + 32 hex */
void id_org(char ret[static ID_SIZE]);           /* org- + 24 base62 */
void id_key(char ret[static ID_SIZE]);           /* key_ + 24 base62: names a key, is not the key */
void id_event(char ret[static ID_SIZE]);         /* evt_ + 32 hex */
void id_delivery(char ret[static ID_SIZE]);      /* wh_ + 32 hex */
void id_endpoint(char ret[static ID_SIZE]);      /* we_ + 32 hex: of webhooks */
void id_secret(char ret[static 64]);             /* sk- + 48 base62: the API key itself */

/* Enough of a key to tell it from others, and too little to be of use: "sk-AbCd…". */
#define SECRET_HINT_CHARACTERS 7
void id_secret_hint(const char *secret, char ret[static 16]);

/* SHA-256 of `secret` in lower-case hex: all that is stored of a key. */
void id_secret_hash(struct slice secret, char ret[static 65]);

/* Fills `p` with random bytes; ends the process if the kernel has none (it always has). */
void random_bytes(void *p, size_t n);

/* For tables of what has such ids. */
static inline uint32_t id_hash(const char *id)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *id != '\0'; id++)
		h = (h ^ (unsigned char)*id) * 16777619u;
	return h;
}
