/* trust.c: see trust.h. */
#include "client/trust.h"

#include <curl/curl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/log.h"
#include "client/tls.h"

static void given_forget(struct trust *t)
{
	free(TAKE(t->given.text));
	free(TAKE(t->given.mark));
	tls_store_free(TAKE(t->given.store));
}

void trust_done(struct trust *t)
{
	tls_store_free(TAKE(t->machine));
	given_forget(t);
}

static X509_STORE *shared(X509_STORE *store)
{
	return store != NULL && X509_STORE_up_ref(store) == 1 ? store : NULL;
}

/* Where libcurl was built to look. */
static X509_STORE *machine_store(struct trust *t)
{
	const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
	bool good = true;

	if (t->machine == NULL)
		t->machine = tls_store_of_machine(built->cainfo, built->capath, &good);
	if (!good)
		log_warn("tls.ca_unreadable",
			 kv_str("say", "SSL_CERT_FILE, SSL_CERT_DIR or the machine's CA "
				       "certificates cannot be read"));
	return shared(t->machine);
}

static bool given_renew(struct trust *t, const char *ca)
{
	if (t->given.text != NULL && strcmp(t->given.text, ca) == 0)
		return true;
	given_forget(t);
	t->given.text = strdup(ca);
	t->given.mark = tls_ca_mark(ca);
	if (t->given.text != NULL && t->given.mark != NULL)
		return true;
	given_forget(t);
	return false;
}

X509_STORE *trust_store(struct trust *t, const char *ca)
{
	if (ca == NULL)
		return machine_store(t);
	if (!given_renew(t, ca))
		return NULL;
	if (t->given.store == NULL)
		t->given.store = tls_store_of(t->given.text);
	return shared(t->given.store);
}

char *trust_mark(struct trust *t, const char *ca)
{
	return given_renew(t, ca) ? strdup(t->given.mark) : NULL;
}
