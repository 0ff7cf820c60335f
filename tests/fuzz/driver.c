/* driver.c: runs a fuzz target without libFuzzer: each file of the corpus, then mutants of them for
 * -max_total_time=SECONDS, from a fixed seed so that a failure comes again. What broke the target
 * is left in ./crash-input. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX (1u << 16)
#define INPUTS_MAX 1024

static struct input {
	uint8_t bytes[INPUT_MAX];
	size_t n;
} * inputs[INPUTS_MAX], current;
static size_t inputs_n;

static void on_abort(int signal_number)
{
	int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd >= 0) {
		(void)!write(fd, current.bytes, current.n);
		close(fd);
	}
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void run_current(void)
{
	/* a copy of just its size, so that ASan sees a read beyond it */
	uint8_t *exact = malloc(current.n > 0 ? current.n : 1);

	if (exact == NULL)
		abort();
	memcpy(exact, current.bytes, current.n);
	LLVMFuzzerTestOneInput(exact, current.n);
	free(exact);
}

static void add_file(const char *path)
{
	FILE *f = fopen(path, "rb");

	if (f == NULL || inputs_n == INPUTS_MAX) {
		fprintf(stderr, "%s: cannot be read, or is one too many\n", path);
		exit(2);
	}
	struct input *input = calloc(1, sizeof(*input));
	if (input == NULL)
		abort();
	input->n = fread(input->bytes, 1, INPUT_MAX, f);
	fclose(f);
	inputs[inputs_n++] = input;
}

static size_t random_below(size_t n)
{
	return n == 0 ? 0 : (size_t)random() % n;
}

/* One change to the current input: bytes gone, doubled, changed, or taken from another input. */
static void mutate(void)
{
	const struct input *other = inputs[random_below(inputs_n)];
	size_t at = random_below(current.n + 1);
	size_t length = random_below(random() % 8 == 0 ? 2000 : 16);

	switch (random() % 4) {
	case 0:
		if (length > current.n - at)
			length = current.n - at;
		memmove(current.bytes + at, current.bytes + at + length, current.n - at - length);
		current.n -= length;
		break;
	case 1:
		if (at < current.n)
			current.bytes[at] = (uint8_t)random();
		break;
	case 2:
		if (at < current.n)
			current.bytes[at] = (uint8_t) "\"\\{}[],:\n\r 0-eu\xff"[random() % 17];
		break;
	default: {
		size_t from = random_below(other->n);
		if (length > other->n - from)
			length = other->n - from;
		if (length > INPUT_MAX - current.n)
			length = INPUT_MAX - current.n;
		memmove(current.bytes + at + length, current.bytes + at, current.n - at);
		memcpy(current.bytes + at, other->bytes + from, length);
		current.n += length;
	}
	}
}

int main(int argc, char **argv)
{
	static const char seeds[] = "-seed_inputs=", seconds[] = "-max_total_time=";
	long limit_s = 0, runs = 0;

	signal(SIGABRT, on_abort);
	signal(SIGSEGV, on_abort);
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], seconds, strlen(seconds)) == 0) {
			limit_s = strtol(argv[i] + strlen(seconds), NULL, 10);
		} else if (strncmp(argv[i], seeds, strlen(seeds)) == 0) {
			char *rest = argv[i] + strlen(seeds), *path;
			while ((path = strsep(&rest, ",")) != NULL)
				add_file(path);
		} else if (argv[i][0] != '-') {
			add_file(argv[i]);
		}
	}
	for (size_t i = 0; i < inputs_n; i++, runs++) {
		current = *inputs[i];
		run_current();
	}
	srandom(1);
	for (time_t end = time(NULL) + limit_s; inputs_n > 0 && time(NULL) < end; runs++) {
		const struct input *seed = inputs[random_below(inputs_n)];
		memcpy(current.bytes, seed->bytes, seed->n);
		current.n = seed->n;
		for (size_t changes = 1 + random_below(6); changes > 0; changes--)
			mutate();
		run_current();
	}
	fprintf(stderr, "%ld inputs, none broke a promise\n", runs);
	return 0;
}
