/* nodes.h: whether this server is one of several nodes, and what it tells the others of itself. */
#pragma once

#include "app/config.h"
#include "pipeline/pipeline.h"

/* Rows and bytes are both where other nodes have them, too. */
static inline bool config_is_node(const struct config *c)
{
	return c->store != NULL && c->blobs_url != NULL;
}

/* What the pipeline is told, and keeps for its life. */
struct node_identity {
	char address[300], digest[65];
	struct cluster_config cluster;
};
/* `port`: that it listens on. Only of a node. */
MUST_USE bool node_identity_make(const struct config *c, unsigned port, struct node_identity *ret,
				 struct error *err);
