/* test_tls.c: certificates in PEM form: checked, told apart, parsed once. */
#include "unit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "client/tls.h"

static char *text_of(BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);
	char *text = strndup(p, (size_t)n);
	BIO_free(b);
	return text;
}

/* A key and a certificate that it has signed itself. */
static void pair_make(long serial, char **ret_cert, char **ret_key)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	BIO *out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1,
				   0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(out, cert), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL), 1);
	*ret_cert = text_of(out);
	*ret_key = text_of(key_out);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static char *joined(const char *a, const char *b)
{
	char *both = calloc(strlen(a) + strlen(b) + 1, 1);
	return strcat(strcpy(both, a), b);
}

static void what_files_hold(void **state)
{
	(void)state;
	AUTO(auto_free) char *cert = NULL, *key = NULL, *other = NULL, *other_key = NULL;
	char why[160];
	pair_make(1, &cert, &key);
	pair_make(2, &other, &other_key);
	AUTO(auto_free) char *both = joined(cert, other);
	AUTO(auto_free) char *cut = strndup(both, strlen(both) - 40);

	assert_true(tls_ca_check(both, why, sizeof(why)));
	assert_true(tls_cert_check(cert, why, sizeof(why)));
	assert_true(tls_key_check(cert, key, why, sizeof(why)));
	assert_false(tls_ca_check("", why, sizeof(why)));
	assert_non_null(strstr(why, "holds no CA certificate"));
	assert_false(tls_ca_check(key, why, sizeof(why)));
	assert_false(tls_ca_check(cut, why, sizeof(why)));
	assert_non_null(strstr(why, "damaged or cut off"));
	assert_false(tls_cert_check("what?", why, sizeof(why)));
	assert_non_null(strstr(why, "holds no certificate"));
	assert_false(tls_key_check(cert, other_key, why, sizeof(why)));
	assert_non_null(strstr(why, "not the certificate's"));
	assert_false(tls_key_check(cert, cert, why, sizeof(why)));
	assert_non_null(strstr(why, "holds no private key"));
}

static int count_of(X509_STORE *store)
{
	return sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
}

static void a_store_has_them_all(void **state)
{
	(void)state;
	AUTO(auto_free) char *cert = NULL, *key = NULL, *other = NULL, *other_key = NULL;
	pair_make(1, &cert, &key);
	pair_make(2, &other, &other_key);
	AUTO(auto_free) char *both = joined(cert, other);
	X509_STORE *store = tls_store_of(both);
	assert_int_equal(count_of(store), 2);
	tls_store_free(store);
	assert_null(tls_store_of("nothing"));
	bool good = true;
	unsetenv("SSL_CERT_FILE");
	unsetenv("SSL_CERT_DIR");
	store = tls_store_of_machine("/nowhere", NULL, &good);
	assert_int_equal(count_of(store), 0);
	tls_store_free(store);
	setenv("SSL_CERT_FILE", "/nowhere", 1);
	store = tls_store_of_machine(NULL, NULL, &good);
	assert_false(good);
	tls_store_free(store);
	unsetenv("SSL_CERT_FILE");
}

/* A mark stays small, is a bundle by itself, and differs where any certificate does. */
static void a_mark_tells_them_apart(void **state)
{
	(void)state;
	AUTO(auto_free) char *cert = NULL, *key = NULL, *other = NULL, *other_key = NULL;
	char why[160];
	pair_make(1, &cert, &key);
	pair_make(2, &other, &other_key);
	AUTO(auto_free) char *both = joined(cert, other);
	AUTO(auto_free) char *one = tls_ca_mark(cert);
	AUTO(auto_free) char *two = tls_ca_mark(both);
	AUTO(auto_free) char *again = tls_ca_mark(both);
	assert_string_not_equal(one, two);
	assert_string_equal(two, again);
	assert_true(tls_ca_check(two, why, sizeof(why)));
	assert_true(strlen(two) < strlen(cert) + 80);
}

static void copies_and_their_likeness(void **state)
{
	(void)state;
	struct tls_pem a = { strdup("ca"), strdup("cert"), NULL }, b, none = { 0 };
	assert_true(tls_pem_copy(&a, &b));
	assert_true(tls_pem_same(&a, &b));
	assert_false(tls_pem_same(&a, &none));
	free(b.ca);
	b.ca = strdup("CA");
	assert_false(tls_pem_same(&a, &b));
	tls_pem_done(&b);
	assert_true(tls_pem_same(&b, &none));
	assert_true(tls_pem_copy(&none, &b));
	assert_true(tls_pem_same(&b, &none));
	tls_pem_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_files_hold),
		cmocka_unit_test(a_store_has_them_all),
		cmocka_unit_test(a_mark_tells_them_apart),
		cmocka_unit_test(copies_and_their_likeness),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
