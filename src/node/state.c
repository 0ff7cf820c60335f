#include "node/state.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/log.h"
#include "base/sys.h"

unsigned node_wait_ms_max = 60000;

int64_t node_mono_us(void)
{
	return (int64_t)sys.monotonic_us();
}

unsigned node_wait_ms(int64_t due_us)
{
	int64_t now_us = node_mono_us();

	if (due_us <= now_us)
		return 0;
	int64_t ms = (due_us - now_us) / PROTOCOL_MS + 1;
	return ms < node_wait_ms_max ? (unsigned)ms : node_wait_ms_max;
}

uint64_t node_draw(void)
{
	uint64_t id = NOBODY;

	while (id == NOBODY) {
		random_bytes(&id, sizeof(id));
		id &= INT64_MAX; /* as the database has it */
	}
	return id;
}

void node_wake(struct node *n)
{
	uint64_t one = 1;

	/* It fails only where it is woken already. */
	(void)!write(n->wake_fd, &one, sizeof(one));
}

void node_look_soon(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	n->look_now = true;
	pthread_mutex_unlock(&n->lock);
	node_wake(n);
}

void node_renew_soon(struct node *n)
{
	n->renew_now = true;
	pthread_cond_signal(&n->renew_wake);
}

/* With the lock held: whether this sentence was not logged since the node is away. Its first fault is
 * often a connection that closed; why none is made again is told by the next. */
static bool is_news(struct node *n, const char *sentence)
{
	size_t at = strlen(n->said), size = strlen(sentence) + 1;

	if (strstr(n->said, sentence) != NULL || at + size > sizeof(n->said))
		return false;
	memcpy(n->said + at, sentence, size);
	return true;
}

void node_note(struct node *n, enum node_fault which, const struct error *err)
{
	static const char *const at[] = {
		[FAULT_RENEW] = "its lease", [FAULT_LOOK] = "its look", [FAULT_BURY] = "a burial"
	};

	pthread_mutex_lock(&n->lock);
	unsigned before = n->faults;
	if (before == 0)
		n->said[0] = '\0';
	bool news = err != NULL && is_news(n, err->message);
	if (err != NULL) {
		n->faults |= which;
		snprintf(n->why, sizeof(n->why), "%s", err->message);
	} else {
		n->faults &= ~(unsigned)which;
	}
	unsigned now = n->faults;
	pthread_mutex_unlock(&n->lock);
	if (news)
		log_write_error(LOG_WARN, "node.away", err, LOG_FIELDS(kv_str("at", at[which])));
	if (before != 0 && now == 0)
		log_info("node.back");
}

bool node_is_closing(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	bool closing = n->is_closing;
	pthread_mutex_unlock(&n->lock);
	return closing;
}

/* ---- of node.h ---- */

struct owner node_owner(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	struct owner me = n->me;
	pthread_mutex_unlock(&n->lock);
	return me;
}

int64_t node_deadline_us(struct node *n)
{
	return atomic_load(&n->deadline_us);
}

void node_refused(struct node *n)
{
	pthread_mutex_lock(&n->lock);
	node_renew_soon(n);
	pthread_mutex_unlock(&n->lock);
}

bool node_is_api(const struct node_seen *seen)
{
	return strncmp(seen->config, NODE_API_MARK, strlen(NODE_API_MARK)) == 0;
}
