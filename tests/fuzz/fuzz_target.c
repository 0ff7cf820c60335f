/* fuzz_target.c: URLs of receivers (webhook/target.h): whatever it is, it ends; what passes has
 * https and no user, and passes where more is allowed. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fuzz.h"
#include "webhook/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *url = strndup((const char *)data, size);

	PROMISE(url != NULL);
	if (target_refusal(url, false) == NULL) {
		PROMISE(strncasecmp(url, "https://", 8) == 0);
		PROMISE(strcspn(url + 8, "/?") > 0);
		PROMISE(memchr(url + 8, '@', strcspn(url + 8, "/?")) == NULL);
		PROMISE(strpbrk(url, " #\\\"<>\r\n") == NULL);
		PROMISE(target_refusal(url, true) == NULL);
	}
	free(url);
	return 0;
}
