/* attempts.c: a table of waits. */
#include "webhook/attempts.h"

#include "base/attr.h"

static const int64_t waits_s[] = { 5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600 };

int64_t attempts_wait_s(uint64_t attempts, uint32_t random)
{
	uint64_t i = attempts > 0 ? attempts - 1 : 0;
	int64_t wait_s = waits_s[i < ARRAY_LEN(waits_s) ? i : ARRAY_LEN(waits_s) - 1];

	return wait_s - wait_s / 5 + (int64_t)(random % (uint32_t)(2 * wait_s / 5 + 1));
}

int64_t attempts_next(int64_t began_at, uint64_t attempts, int64_t now, uint32_t random)
{
	int64_t end = began_at + ATTEMPTS_END_S;
	int64_t next = now + attempts_wait_s(attempts, random);

	if (now >= end)
		return 0;
	return next < end ? next : end;
}
