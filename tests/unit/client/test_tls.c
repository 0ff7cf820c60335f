/* test_tls.c: certificates in PEM form: checked, told apart, parsed once. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "certs.h"
#include "client/curl_impl.h"

/* A key and a certificate that it has signed itself. */
static void pair_make(long serial, char **ret_cert, char **ret_key)
{
	struct cert c = cert_make(&(struct cert_wanted){ .name = "test", .serial = serial });

	*ret_cert = TAKE(c.pem);
	*ret_key = TAKE(c.key_pem);
	cert_free(&c);
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

/* A receiver of events has a route for each attempt. */
static void routes_share_what_was_parsed_for_the_last(void **state)
{
	(void)state;
	AUTO(auto_free) char *cert = NULL, *key = NULL, *other = NULL, *other_key = NULL;
	struct client *client;
	struct error err;
	pair_make(1, &cert, &key);
	pair_make(2, &other, &other_key);
	AUTO(auto_free) char *again = strdup(cert);
	const struct tls_pem one = { .ca = cert }, same = { .ca = again }, two = { .ca = other };
	const struct tls_pem *const given[] = { &one, &same, &two };
	struct curl_route *routes[3];
	assert_true(client_open_libcurl(&client, &err));
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		routes[i] = (struct curl_route *)client_route_new(client, "https://x.example",
								  given[i]);
		assert_non_null(routes[i]);
		assert_int_equal(count_of(routes[i]->store), 1);
	}
	assert_ptr_equal(routes[0]->store, routes[1]->store);
	assert_string_equal(routes[0]->ca_mark, routes[1]->ca_mark);
	assert_ptr_not_equal(routes[1]->store, routes[2]->store);
	assert_string_not_equal(routes[1]->ca_mark, routes[2]->ca_mark);
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		client_route_free(&routes[i]->base);
	client_close(client);
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
		cmocka_unit_test(routes_share_what_was_parsed_for_the_last),
		cmocka_unit_test(copies_and_their_likeness),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
