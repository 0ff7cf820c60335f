/* settings_show.h: the table of settings for people, and for what makes lowtide.yaml(5) of it
 * (packaging/described.py): a key at the start of a line, below it lines that are indented. */
#pragma once

#include <stdio.h>

/* The whole table, with the members of lists: `lowtide help settings`. */
void settings_show(FILE *to);
