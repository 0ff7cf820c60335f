/* array.c: see array.h. */
#include "base/array.h"

#include <stdlib.h>

void *array_room(void *array, size_t n, size_t element_size)
{
	/* Its size is the least power of two that holds `n`: full when `n` is one itself. */
	if (n != 0 && (n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n == 0 ? 1 : 2 * n, element_size);
}
