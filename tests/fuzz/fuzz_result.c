/* A line of a result file of any service: what is taken for its answer is JSON, what for its
 * error text is UTF-8, and one of the two is there. */
#include "base/json.h"
#include "fuzz.h"
#include "rows/answer_text.h"
#include "rows/text.h"

static bool is_json(struct slice text)
{
	struct slice value;
	struct json j;

	json_init(&j, text);
	return json_skip(&j, &value) && json_end(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice line = { (const char *)data, size }, id = { 0 };
	struct row_answer a = ANSWER_EMPTY;

	if (answer_id(line, &id))
		PROMISE(id.p >= line.p && id.p + id.n <= line.p + line.n);
	if (answer_read(line, &a)) {
		PROMISE(is_json(line) && !a.failed);
		PROMISE(a.good == (a.error.n == 0));
		PROMISE(a.good ? is_json(a.value) : a.value.n == 0);
		PROMISE(text_valid(buf_slice(&a.error)) == a.error.n);
	}
	answer_done(&a);
	return 0;
}
