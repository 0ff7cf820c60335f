/* The list of nodes: every member, in its order; what differs, and from whom. */
#include "unit.h"

#include "api/nodes.h"

static struct node_seen nodes[3];
static const struct upstream_seen upstreams[] = {
	{ .upstream = "a", .owner = { 16, 2 } },
	{ .upstream = "b \"2\"", .owner = { 16, 2 } },
	{ .upstream = "c", .owner = { 16, 1 }, .is_free = true },
	{ .upstream = "d", .is_free = true },
	{ .upstream = "e", .owner = { UINT64_MAX, 1 } },
};
static struct nodes_view view;

static int setup(void **state)
{
	(void)state;
	nodes[0] = (struct node_seen){ .id = 1,
				       .epoch = 1,
				       .lease_left_us = -500000,
				       .address = "h:1",
				       .version = "0.9",
				       .config = "abc" };
	nodes[1] = (struct node_seen){ .id = 16,
				       .epoch = 2,
				       .lease_left_us = 12340000,
				       .address = "h:2",
				       .version = "1.0",
				       .config = "abc" };
	nodes[2] = (struct node_seen){ .id = UINT64_MAX - 1,
				       .epoch = 1,
				       .lease_left_us = 9000000,
				       .draining = true,
				       .address = "h:3",
				       .version = "1.0",
				       .config = "api abc" };
	view = (struct nodes_view){ .is_node = true,
				    .self = 16,
				    .nodes = nodes,
				    .node_count = 3,
				    .upstreams = upstreams,
				    .upstream_count = ARRAY_LEN(upstreams) };
	return 0;
}

static void is(const char *expected)
{
	AUTO(buf_free) struct buf to = BUF(8192);
	struct error err;

	assert_true(nodes_write(&to, &view, &err));
	buf_char(&to, '\0');
	assert_false(to.failed);
	assert_string_equal(to.p, expected);
}

/* Of the list, by each node: whether `member` is true. */
static void flags_are(const char *member, const char *expected)
{
	AUTO(buf_free) struct buf to = BUF(8192), flags = BUF(64), name = BUF(64);
	struct error err;

	assert_true(nodes_write(&to, &view, &err));
	buf_char(&to, '\0');
	buf_printf(&name, "\"%s\":", member);
	buf_char(&name, '\0');
	for (const char *at = to.p; (at = strstr(at, name.p)) != NULL; at++)
		buf_char(&flags, at[strlen(name.p)] == 't' ? 'x' : '-');
	buf_char(&flags, '\0');
	assert_string_equal(flags.p, expected);
}

static void one_machine(void **state)
{
	(void)state;
	view = (struct nodes_view){ 0 };
	is("{\"object\":\"list\",\"clustered\":false,\"fault\":null,\"data\":[]}");
}

static void the_whole_list(void **state)
{
	(void)state;
	is("{\"object\":\"list\",\"clustered\":true,\"fault\":null,\"data\":["
	   "{\"id\":\"0000000000000001\",\"object\":\"lowtide.node\",\"address\":\"h:1\","
	   "\"version\":\"0.9\",\"role\":\"driver\",\"is_self\":false,\"is_leader\":false,"
	   "\"lease_left_s\":0.0,\"draining\":false,\"upstreams\":[],"
	   "\"version_differs\":true,\"config_differs\":false},"
	   "{\"id\":\"0000000000000010\",\"object\":\"lowtide.node\",\"address\":\"h:2\","
	   "\"version\":\"1.0\",\"role\":\"driver\",\"is_self\":true,\"is_leader\":true,"
	   "\"lease_left_s\":12.3,\"draining\":false,\"upstreams\":[\"a\",\"b \\\"2\\\"\"],"
	   "\"version_differs\":false,\"config_differs\":false},"
	   "{\"id\":\"fffffffffffffffe\",\"object\":\"lowtide.node\",\"address\":\"h:3\","
	   "\"version\":\"1.0\",\"role\":\"api\",\"is_self\":false,\"is_leader\":false,"
	   "\"lease_left_s\":9.0,\"draining\":true,\"upstreams\":[],"
	   "\"version_differs\":false,\"config_differs\":false}]}");
}

/* Whoever answers: the odd one is marked, and not the two others. */
static void what_most_have_is_usual(void **state)
{
	(void)state;
	snprintf(nodes[2].config, sizeof(nodes[2].config), "api xyz");
	for (unsigned i = 0; i < 3; i++) {
		view.self = nodes[i].id;
		flags_are("config_differs", "--x");
		flags_are("version_differs", "x--");
		flags_are("is_leader", "-x-");
	}
	view.node_count = 2; /* of two, the first's */
	flags_are("version_differs", "-x");
}

/* It cannot tell how long others' leases run, or who leads. */
static void without_a_lease(void **state)
{
	(void)state;
	snprintf(view.fault, sizeof(view.fault), "This node has no lease any more.");
	view.nodes = &nodes[1];
	view.node_count = 1;
	is("{\"object\":\"list\",\"clustered\":true,"
	   "\"fault\":\"This node has no lease any more.\",\"data\":["
	   "{\"id\":\"0000000000000010\",\"object\":\"lowtide.node\",\"address\":\"h:2\","
	   "\"version\":\"1.0\",\"role\":\"driver\",\"is_self\":true,\"is_leader\":false,"
	   "\"lease_left_s\":null,\"draining\":false,\"upstreams\":[\"a\",\"b \\\"2\\\"\"],"
	   "\"version_differs\":false,\"config_differs\":false}]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_machine, setup),
		cmocka_unit_test_setup(the_whole_list, setup),
		cmocka_unit_test_setup(what_most_have_is_usual, setup),
		cmocka_unit_test_setup(without_a_lease, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
