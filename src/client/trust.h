/* trust.h: CA certificates, parsed once for all routes of a client: the machine's, and those of the
 * text that was given last, since whoever makes a route for each request gives them each time. */
#pragma once

struct x509_store_st;

struct trust {
	struct x509_store_st *machine; /* NULL: not needed yet */
	struct {
		char *text;                  /* NULL: none was given */
		char *mark;                  /* tls_ca_mark() of it */
		struct x509_store_st *store; /* NULL: not needed yet */
	} given;
};

/* Zeroed before. */
void trust_done(struct trust *t);
/* The certificates of `ca`, or the machine's (NULL). NULL: no memory. tls_store_free() lets go. */
struct x509_store_st *trust_store(struct trust *t, const char *ca);
/* tls_ca_mark(), owned by the caller. NULL: no memory. */
char *trust_mark(struct trust *t, const char *ca);
