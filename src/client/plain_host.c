/* plain_host.c: servers, few in number: a list. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/plain_impl.h"

#define GOOD_MS 60000u

/* ---- who holds one ---- */

static struct plain_host *host_new(struct plain *p, const struct plain_url *url)
{
	struct plain_host *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->plain = p;
	h->port = url->port;
	memcpy(h->name, url->host, sizeof(h->name));
	h->known = addresses_known(h->name, h->port, &h->addresses);
	h->next = p->hosts;
	p->hosts = h;
	return h;
}

static struct plain_host *host_find(const struct plain *p, const struct plain_url *url,
				    const struct tls_pem *marked)
{
	struct plain_host *h = p->hosts;

	while (h != NULL &&
	       (h->port != url->port || strcasecmp(h->name, url->host) != 0 ||
		(h->tls != NULL) != url->tls || (url->tls && !tls_pem_same(&h->tls->pem, marked))))
		h = h->next;
	return h;
}

/* False: no memory; *ret may be a host that is not whole. */
static bool host_get(struct plain *p, const struct plain_url *url, const struct tls_pem *marked,
		     const char *ca, struct plain_host **ret)
{
	struct plain_host *h = host_find(p, url, marked);

	*ret = h != NULL ? h : host_new(p, url);
	if (*ret == NULL)
		return false;
	(*ret)->users++;
	if (h != NULL || !url->tls)
		return true;
	(*ret)->tls = tls_way_new(p->trust, marked, ca, url->host);
	return (*ret)->tls != NULL;
}

struct plain_host *host_take(struct plain *p, const struct plain_url *url,
			     const struct tls_pem *tls)
{
	struct tls_pem marked = { .cert = tls->cert, .key = tls->key };
	struct plain_host *h = NULL;

	if (url->tls && tls->ca != NULL) {
		marked.ca = trust_mark(p->trust, tls->ca);
		if (marked.ca == NULL)
			return NULL;
	}
	if (!host_get(p, url, &marked, tls->ca, &h)) {
		host_give(h);
		h = NULL;
	}
	free(marked.ca);
	return h;
}

void host_give(struct plain_host *h)
{
	if (h == NULL || --h->users > 0)
		return;
	struct plain_host **link = &h->plain->hosts;
	while (*link != h)
		link = &(*link)->next;
	*link = h->next;
	lookup_free(h->lookup);
	tls_way_free(h->tls);
	free(h);
}

/* ---- where it is ---- */

bool host_is_known(const struct plain_host *h)
{
	return h->known || (h->addresses.n > 0 && h->good_until_ms > h->plain->loop->now_ms);
}

bool host_look_up(struct plain_host *h)
{
	if (h->lookup == NULL)
		h->lookup = lookup_start(h->plain->loop, h->name, h->port);
	return h->lookup != NULL;
}

bool host_looked_up(struct plain_host *h, const char **ret_why)
{
	if (h->lookup == NULL || !lookup_ended(h->lookup, &h->addresses, ret_why))
		return false;
	lookup_free(TAKE(h->lookup));
	h->well = 0;
	h->good_until_ms = *ret_why == NULL ? h->plain->loop->now_ms + GOOD_MS : 0;
	return true;
}
