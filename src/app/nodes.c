/* nodes.c: see nodes.h. */
#include "app/nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/version.h"
#include "base/id.h"

/* Of every setting but those that are each node's own. */
static const char *const own_settings[] = { "listen:", "data:", "role:", "log." };

static bool is_own(const char *line)
{
	for (size_t i = 0; i < ARRAY_LEN(own_settings); i++)
		if (strncmp(line, own_settings[i], strlen(own_settings[i])) == 0)
			return true;
	return false;
}

/* Takes out the lines of these. */
static void own_leave(char *text)
{
	char *to = text;

	for (char *line = text; *line != '\0';) {
		size_t n = strcspn(line, "\n");
		n += line[n] == '\n';
		if (!is_own(line)) {
			memmove(to, line, n);
			to += n;
		}
		line += n;
	}
	*to = '\0';
}

static bool digest_make(const struct config *c, char ret[static 65], struct error *err)
{
	char *text = NULL;
	size_t n;
	FILE *to = open_memstream(&text, &n);

	if (to == NULL)
		return fail_memory(err);
	config_print(c, to);
	bool ok = fclose(to) == 0 && text != NULL;
	if (ok) {
		own_leave(text);
		id_secret_hash(slice_of(text), ret);
	}
	free(text);
	return ok || fail_memory(err);
}

bool node_identity_make(const struct config *c, unsigned port, struct node_identity *ret,
			struct error *err)
{
	char host[256] = "localhost";

	(void)!gethostname(host, sizeof(host) - 1);
	snprintf(ret->address, sizeof(ret->address), "%s:%u", host, port);
	ret->cluster = (struct cluster_config){ .url = c->store,
						.address = ret->address,
						.version = lowtide_version,
						.digest = ret->digest,
						.drives = c->role != ROLE_API };
	return digest_make(c, ret->digest, err);
}
