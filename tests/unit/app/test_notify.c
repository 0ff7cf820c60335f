/* What systemd is told: the bytes of each datagram, which sockets are understood, and that nothing
 * is told without one. */
#include "log_seen.h"
#include "unit.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "app/notify.h"

static char *directory;

static int setup(void **state)
{
	(void)state;
	directory = scratch_dir_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("JOURNAL_STREAM");
	scratch_dir_remove(directory);
	return 0;
}

/* A socket of that name ('@': abstract), which NOTIFY_SOCKET then has. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t n = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	memcpy(address.sun_path, name, n);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
			 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static int listen_in_directory(void)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/notify", directory);
	return listen_at(path);
}

static void assert_told(int fd, const char *expected)
{
	char text[2048];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, expected);
}

static uint64_t a_moment(void)
{
	return 123456789;
}

static void each_call_is_one_datagram(void **state)
{
	int fd = listen_in_directory();
	uint64_t (*real)(void) = sys.monotonic_us;

	(void)state;
	notify_status("opens %s", "data");
	assert_told(fd, "STATUS=opens data");
	notify_ready("listens on %u", 8000u);
	assert_told(fd, "READY=1\nSTATUS=listens on 8000");
	sys.monotonic_us = a_moment;
	notify_reloading();
	sys.monotonic_us = real;
	assert_told(fd,
		    "RELOADING=1\nMONOTONIC_USEC=123456789\nSTATUS=reads its configuration anew");
	notify_stopping(90);
	assert_told(fd, "STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000\n"
			"STATUS=lets what is in flight end, within 90 s");
	close(fd);
}

static void a_status_is_one_line(void **state)
{
	int fd = listen_in_directory();
	char longer[3000], text[3000];

	(void)state;
	notify_ready("%s", "one\nREADY=0\ntwo");
	assert_told(fd, "READY=1\nSTATUS=one READY=0 two");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	notify_ready("%s", longer);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 1023);
	close(fd);
}

static void a_name_without_a_file_is_understood(void **state)
{
	char name[100];

	(void)state;
	snprintf(name, sizeof(name), "@%s", directory);
	int fd = listen_at(name);
	notify_status("here");
	assert_told(fd, "STATUS=here");
	close(fd);
}

static void without_a_socket_nothing_is_told(void **state)
{
	(void)state;
	log_seen_begin();
	notify_ready("here");
	setenv("NOTIFY_SOCKET", "", 1);
	notify_ready("here");
	assert_int_equal(log_seen_count("serve.not_notified", ""), 0);
	log_seen_end();
}

static void what_cannot_be_told_is_logged(void **state)
{
	char longer[200];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	log_seen_begin();
	setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	notify_ready("here");
	setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
	notify_ready("here");
	setenv("NOTIFY_SOCKET", longer, 1);
	notify_ready("here");
	assert_int_equal(log_seen_count("serve.not_notified", "errno="), 3);
	log_seen_end();
}

static void the_journal_is_known_by_device_and_inode(void **state)
{
	char path[100], stream[100];
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/out", directory);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	assert_false(output_is_journal(fileno(file)));
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	assert_true(output_is_journal(fileno(file)));
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	assert_false(output_is_journal(fileno(file)));
	setenv("JOURNAL_STREAM", "nonsense", 1);
	assert_false(output_is_journal(fileno(file)));
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_call_is_one_datagram, setup, teardown),
		cmocka_unit_test_setup_teardown(a_status_is_one_line, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_without_a_file_is_understood, setup,
						teardown),
		cmocka_unit_test_setup_teardown(without_a_socket_nothing_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_told_is_logged, setup, teardown),
		cmocka_unit_test_setup_teardown(the_journal_is_known_by_device_and_inode, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
