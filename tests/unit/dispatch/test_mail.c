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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_runs_once_for_all_that_was_asked),
		cmocka_unit_test(one_that_is_posted_by_its_own_function_runs_again),
	};

	dispatch_thread_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
