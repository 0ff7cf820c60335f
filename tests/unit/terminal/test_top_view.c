/* What a server does, as tables, in plain, in JSON: for an operator and for an organization. */
#include "unit.h"

#include "terminal/top_view.h"

#define NOW 1796072405

static struct top_look look;
static struct buf out;

/* Objects are written with ' for ". */
static json_t *object(const char *text)
{
	char json[4096];
	size_t i = 0;

	for (; text[i] != '\0'; i++) {
		json[i] = text[i];
		if (json[i] == '\'')
			json[i] = '"';
	}
	json_t *o = json_loadb(json, i, JSON_DECODE_ANY, NULL);
	assert_non_null(o);
	return o;
}

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	out = BUF(1 << 20);
	look.scheduling = object(
		"{'at':1796072405,'upstreams':[{'name':'gpu\\u001b[2J','state':'flows','weight':1,"
		"'max_concurrency':64,'batch':12,'online':3,'said':null,'engine':{'kind':'vllm',"
		"'running':15,'waiting':2,'cache_use':0.305},'lanes':[{'model':'m-1','batch':12,"
		"'online':3,'concurrency_limit':16.4,'reason':'growing','reserve':4,"
		"'cross_traffic':0.0}]},{'name':'b','state':'down','weight':2,'max_concurrency':8,"
		"'batch':0,'online':0,'said':'connection refused','engine':null,'lanes':[]}],"
		"'models':[{'name':'m-1','batches':2,'slots':13.0,'waiting_again':0}]}");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	top_look_done(&look);
	buf_free(&out);
	return 0;
}

static void of_operator(void)
{
	look.orgs = object(
		"[{'name':'ada','weight':3,'keys':2,'suspended_at':null,'limits':["
		"{'name':'open_batches','limit':5,'use':5},{'name':'enqueued_requests','limit':0,"
		"'use':300000},{'name':'online','limit':0,'use':1},{'name':'tokens_per_day',"
		"'limit':1000000,'use':12}]},{'name':'bob','weight':1,'keys':1,"
		"'suspended_at':1796068805,'limits':[]}]");
}

static void of_nodes(void)
{
	look.nodes = object(
		"[{'id':'01','address':'a:1\\u001b','role':'driver','lease_left_s':12.6,"
		"'version':'1.0','is_leader':true,'draining':false,'upstreams':['gpu','b'],"
		"'version_differs':false,'config_differs':false},"
		"{'id':'02','address':'b:1','role':'api','lease_left_s':0.0,'version':'0.9',"
		"'is_leader':false,'draining':true,'upstreams':[],'version_differs':true,"
		"'config_differs':true}]");
}

static const char *said(void)
{
	assert_false(out.failed);
	buf_char(&out, '\0');
	return out.p;
}

static void an_operator_sees_all(void **state)
{
	(void)state;
	of_operator();
	top_tables(&look, "http://x/v1", SIZE_MAX, false, NOW, &out);
	assert_string_equal(
		said(),
		"http://x/v1  2026-11-30 21:00:05\n"
		"\n"
		"UPSTREAM  STATE  BATCH  ONLINE  MOST  WEIGHT  ENGINE  RUNNING  WAITING  CACHE  SAID\n"
		"gpu\xef\xbf\xbd[2J   flows     12       3    64       1  vllm         15        2    30%  -\n"
		"b         down       0       0     8       2  -             -        -      -  connection refused\n"
		"\n"
		"MODEL  UPSTREAM  BATCH  ONLINE  LIMIT  WHY      RESERVE  OTHERS\n"
		"m-1    gpu\xef\xbf\xbd[2J      12       3     16  growing        4     0.0\n"
		"\n"
		"MODEL  BATCHES  SLOTS  WAITING AGAIN\n"
		"m-1          2     13              0\n"
		"\n"
		"ORGANIZATION  WEIGHT  KEYS  BATCHES  REQUESTS  ONLINE  TOKENS TODAY  STATE\n"
		"ada                3     2      5/5   300,000       1  12/1,000,000  -\n"
		"bob                1     1        -         -       -             -  suspended 1h00m ago\n");
}

static void nodes_are_shown_where_there_are_several(void **state)
{
	(void)state;
	of_nodes();
	top_tables(&look, "x", SIZE_MAX, false, NOW, &out);
	assert_non_null(strstr(
		said(),
		"\n\nNODE  ROLE    LEASE  VERSION  STATE                                      DRIVES\n"
		"a:1\xef\xbf\xbd  driver    13s  1.0      leads                                      gpu, b\n"
		"b:1   api        0s  0.9      draining, version differs, config differs  -\n"
		"\nUPSTREAM "));
	buf_clear(&out);
	top_plain(&look, &out);
	assert_non_null(
		strstr(said(), "node\t02\tb:1\tapi\t0.0\t0.9\tfalse\ttrue\t[]\ttrue\ttrue\n"));
	buf_clear(&out);
	json_array_remove(look.nodes, 1);
	top_tables(&look, "x", SIZE_MAX, false, NOW, &out);
	top_plain(&look, &out);
	assert_null(strstr(said(), "NODE"));
	assert_null(strstr(out.p, "node"));
}

static void colours_say_what_is_wrong(void **state)
{
	(void)state;
	of_operator();
	of_nodes();
	top_tables(&look, "x", SIZE_MAX, true, NOW, &out);
	assert_non_null(strstr(said(), "\033[32mflows\033[0m"));
	assert_non_null(strstr(out.p, "\033[31mdown\033[0m"));
	assert_non_null(strstr(out.p, "\033[31m5/5\033[0m"));
	assert_non_null(strstr(out.p, "\033[31m0s\033[0m"));
	assert_non_null(strstr(out.p, "\033[33mdraining, version differs, config differs\033[0m"));
}

static void an_organization_sees_its_limits(void **state)
{
	(void)state;
	look.limits = object(
		"[{'name':'files','limit':0,'use':3,'resets_at':null},"
		"{'name':'calls_per_minute','limit':60,'use':12,'resets_at':1796072435}]");
	top_tables(&look, "x", SIZE_MAX, false, NOW, &out);
	assert_non_null(strstr(said(), "\nLIMIT               USE  RESETS\n"
				       "files                 3  -\n"
				       "calls_per_minute  12/60  in 30s\n"));
	assert_null(strstr(out.p, "ORGANIZATION"));
}

static void plain_has_a_kind_and_columns_that_stay(void **state)
{
	(void)state;
	of_operator();
	top_plain(&look, &out);
	assert_string_equal(
		said(), "upstream\tgpu\xef\xbf\xbd[2J\tflows\t12\t3\t64\t1\tvllm\t15\t2\t0.305\t-\n"
			"upstream\tb\tdown\t0\t0\t8\t2\t-\t-\t-\t-\tconnection refused\n"
			"lane\tgpu\xef\xbf\xbd[2J\tm-1\t12\t3\t16.4\tgrowing\t4\t0.0\n"
			"model\tm-1\t2\t13.0\t0\n"
			"org\tada\t3\t2\t-\t5\t300000\t1\t12\n"
			"org\tbob\t1\t1\t1796068805\t-\t-\t-\t-\n");
}

static void json_is_one_object(void **state)
{
	(void)state;
	top_json(&look, &out);
	json_t *all = json_loadb(out.p, out.n, 0, NULL);
	assert_non_null(all);
	assert_true(json_equal(json_object_get(all, "scheduling"), look.scheduling));
	assert_true(json_is_null(json_object_get(all, "orgs")));
	assert_true(json_is_null(json_object_get(all, "nodes")));
	assert_int_equal(out.p[out.n - 1], '\n');
	assert_null(memchr(out.p, '\033', out.n));
	json_decref(all);
}

static void an_empty_answer_is_no_fault(void **state)
{
	(void)state;
	json_decref(look.scheduling);
	look.scheduling = object("{'upstreams':5,'models':{}}");
	look.orgs = object("[5,{'limits':[{'name':null}]}]");
	look.nodes = object("[5,{'upstreams':5,'lease_left_s':null}]");
	top_tables(&look, "x", 20, false, NOW, &out);
	top_plain(&look, &out);
	assert_false(out.failed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_operator_sees_all),
		TEST(nodes_are_shown_where_there_are_several),
		TEST(colours_say_what_is_wrong),
		TEST(an_organization_sees_its_limits),
		TEST(plain_has_a_kind_and_columns_that_stay),
		TEST(json_is_one_object),
		TEST(an_empty_answer_is_no_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
