/* test_mail.c: entries of the dispatch thread's mailbox. */
#include "unit.h"

#include "dispatch/mail.h"
#include "dispatch/thread.h"

struct letter {
	struct mail mail; /* first: mail_fn is handed it */
	const char *name;
	struct mailbox *answers_to; /* it is posted again from its own function, once */
};

static char ran[64];

static void note(struct dispatch *d, struct mail *m, unsigned asked)
{
	struct letter *l = (struct letter *)m;
	size_t n = strlen(ran);

	assert_null(d);
	snprintf(ran + n, sizeof(ran) - n, "%s%u ", l->name, asked);
	if (l->answers_to != NULL)
		mail_post(l->answers_to, m, note, 8);
	l->answers_to = NULL;
}

static void each_runs_once_for_all_that_was_asked(void **state)
{
	struct letter a = { .name = "a" }, b = { .name = "b" };
	struct mailbox box;

	(void)state;
	mailbox_open(&box, NULL);
	ran[0] = '\0';
	mail_post(&box, &a.mail, note, 1);
	mail_post(&box, &b.mail, note, 2);
	mail_post(&box, &a.mail, note, 4);
	mail_run(&box, NULL);
	assert_string_equal(ran, "a5 b2 ");
	mail_run(&box, NULL);
	assert_string_equal(ran, "a5 b2 ");
	mailbox_close(&box);
}

static void one_that_is_posted_by_its_own_function_runs_again(void **state)
{
	struct mailbox box;
	struct letter a = { .name = "a", .answers_to = &box }, b = { .name = "b" };

	(void)state;
	mailbox_open(&box, NULL);
	ran[0] = '\0';
	mail_post(&box, &a.mail, note, 1);
	mail_post(&box, &b.mail, note, 2);
	mail_run(&box, NULL);
	assert_string_equal(ran, "a1 b2 a8 ");
	mail_post(&box, &a.mail, note, 1); /* the list is whole after it was empty */
	mail_run(&box, NULL);
	assert_string_equal(ran, "a1 b2 a8 a1 ");
	mailbox_close(&box);
}

#define POSTS 20000u

static struct mailbox shared;
static struct mail again;
static unsigned runs;
static _Atomic bool posted_all;

static void count(struct dispatch *d, struct mail *m, unsigned asked)
{
	(void)d;
	(void)m;
	assert_int_equal(asked, 1);
	runs++;
}

static void *post_main(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < POSTS; i++)
		mail_post(&shared, &again, count, 1);
	posted_all = true;
	return NULL;
}

/* For ThreadSanitizer: it is posted while it is run. */
static void another_thread_may_post_at_any_moment(void **state)
{
	pthread_t thread;

	(void)state;
	mailbox_open(&shared, NULL);
	assert_int_equal(pthread_create(&thread, NULL, post_main, NULL), 0);
	while (!posted_all)
		mail_run(&shared, NULL);
	mail_run(&shared, NULL);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_in_range(runs, 1, POSTS);
	assert_false(mail_waits(&shared));
	mailbox_close(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_runs_once_for_all_that_was_asked),
		cmocka_unit_test(one_that_is_posted_by_its_own_function_runs_again),
		cmocka_unit_test(another_thread_may_post_at_any_moment),
	};

	dispatch_thread_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
