/* cells.h: values that objects of several kinds have, in a cell of a table. What is not there appends
 * nothing. */
#pragma once

#include "terminal/table.h"

/* "2026-11-30 21:00:05 (2h05m ago)" */
void cell_time(struct table_cell *cell, int64_t at);
/* "1.234567 EUR", of {"amount","currency"}. */
void cell_cost(struct table_cell *cell, const json_t *cost);
/* Lines of an array of {"code","line","message"}, the first CELL_ERRORS of them. */
#define CELL_ERRORS 20u
void cell_errors(struct table_cell *cell, const json_t *errors);
