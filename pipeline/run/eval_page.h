/* Inside of the page of an evaluation: what its parts share. */
#ifndef PIPELINE_RUN_EVAL_PAGE_H
#define PIPELINE_RUN_EVAL_PAGE_H

#include <stdio.h>

/* The text, with the few characters that HTML takes for itself written out. */
void eval_page_escaped(const char *text, FILE *out);

#endif
