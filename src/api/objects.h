/* objects.h: files and batches as the client sees them (contract 3.1, 5.3, 11.2). */
#pragma once

#include "base/buf.h"
#include "batch/view.h"

void file_write(struct buf *to, const struct file *f);
/* Every member always. */
void batch_write(struct buf *to, const struct batch_view *v);

/* A list (contract 10): list_begin, then list_item before each object, then list_end. */
void list_begin(struct buf *to);
void list_item(struct buf *to, size_t number); /* from 0 */
/* `first`, `last`: ids, NULL where the list is empty. */
void list_end(struct buf *to, const char *first, const char *last, bool more);
