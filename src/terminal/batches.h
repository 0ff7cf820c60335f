/* batches.h: batch objects of the API as commands show them: in lists, whole, and in plain. */
#pragma once

#include "terminal/output.h"

extern const struct output_layout batches_layout;
/* Of a batch that was asked to do something: the few lines that tell of it. */
extern const struct output_layout batch_brief_layout;

/* Its status is final. */
bool batch_has_ended(const json_t *batch);
/* Lines that have ended, in any way. */
uint64_t batch_lines_ended(const json_t *batch);
/* Lines that have ended without an answer. */
uint64_t batch_lines_unanswered(const json_t *batch);
/* When the status became what it is in the end, Unix s; 0: it is not final. */
int64_t batch_ended_at(const json_t *batch);
enum tty_color batch_color(const json_t *batch);
/* Why nothing is sent, in words, appended plain; nothing where nothing holds the batch up. */
void batch_put_stall(struct buf *to, const json_t *batch);
/* "k=v k2=v2" */
void batch_put_metadata(struct buf *to, const json_t *batch, char between);
