/* plain_end.c: which list an exchange is in, how it ends, and when it has to. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "client/plain_impl.h"

void exchange_put(struct exchange_list *to, struct plain_exchange *x)
{
	assert(x->in == NULL);
	x->in = to;
	x->next = NULL;
	x->prev = to->last;
	if (to->last != NULL)
		to->last->next = x;
	else
		to->first = x;
	to->last = x;
}

void exchange_take_out(struct plain_exchange *x)
{
	struct exchange_list *l = x->in;

	if (l == NULL)
		return;
	if (x->prev != NULL)
		x->prev->next = x->next;
	else
		l->first = x->next;
	if (x->next != NULL)
		x->next->prev = x->prev;
	else
		l->last = x->prev;
	x->in = NULL;
}

void exchange_release(struct plain_exchange *x)
{
	exchange_take_out(x);
	if (x->host->tls->speaks == HTTP_2)
		x->state = PLAIN_STARTED; /* its time to connect begins anew, if it comes to that */
	exchange_put(&x->plain->released, x);
}

void exchange_opens_no_more(struct plain_exchange *x, bool failed)
{
	struct tls_way *w = x->host->tls;

	if (w == NULL || w->opener != x)
		return;
	w->opener = NULL;
	while (w->waiting.first != NULL)
		exchange_release(w->waiting.first);
	if (failed)
		w->speaks = HTTP_UNKNOWN;
}

/* Nothing has come behind the answer. */
static bool is_quiet(struct plain_conn *c)
{
	return c->ssl == NULL || !tls_holds(c) || tls_is_quiet(c);
}

void exchange_end(struct plain_exchange *x, enum exchange_end how, const char *format, ...)
{
	struct plain_conn *c = TAKE(x->conn);
	va_list args;

	va_start(args, format);
	if (how != EXCHANGE_WHOLE)
		vsnprintf(x->said, sizeof(x->said), format, args);
	va_end(args);
	x->result = (struct exchange_result){
		.how = how,
		.status = x->has_head ? x->parse.status : 0,
		.said = how != EXCHANGE_WHOLE ? x->said : "",
	};
	exchange_take_out(x);
	exchange_opens_no_more(x, true);
	x->state = PLAIN_ENDED;
	exchange_put(&x->plain->ended, x);
	if (c == NULL)
		return;
	if (c->h2 != NULL)
		h2_leave(c->h2, x);
	else if (how == EXCHANGE_WHOLE && x->parse.keeps && x->out_n == x->whole_n && is_quiet(c))
		conn_keep(c);
	else
		conn_close(c);
}

/* ---- when it is late ---- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t exchange_due_ms(const struct plain_exchange *x)
{
	switch (x->state) {
	case PLAIN_LOOKUP:
	case PLAIN_WAITING:
	case PLAIN_SHAKING:
		return sooner(x->end_ms, x->connect_ms);
	case PLAIN_CONNECTING:
		return sooner(x->end_ms, x->address_ms);
	case PLAIN_SENT:
		if (x->silence_ms > 0 && !x->paused)
			return sooner(x->end_ms, x->heard_ms + x->silence_ms);
		return x->end_ms;
	default:
		return UINT64_MAX;
	}
}
