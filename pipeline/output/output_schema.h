/*
 * The tables of the topics as Avro schemas and as documentation. The files in schemas/ are made
 * from here.
 */
#ifndef PIPELINE_OUTPUT_OUTPUT_SCHEMA_H
#define PIPELINE_OUTPUT_OUTPUT_SCHEMA_H

#include <stdbool.h>
#include <stdio.h>

#include "pipeline/output/output.h"

/*
 * The Avro schema as JSON text: namespace "nudge", docs, the property "privacy" on each field,
 * nullable fields as ["null", T] with default null. To free(); NULL when memory is exhausted.
 */
char *output_schema_avro(const struct output_schema *schema);

/* The same of one topic, with a field a line, as it stands in schemas/TOPIC.avsc. */
MUST_CHECK enum status output_schema_print(enum topic topic, FILE *file, struct error *error);

/* What `nudge describe` says of the topics: names, fields, types, classes of privacy. */
void output_topics_describe(bool markdown, FILE *file);

/* "none", "quasi", "identity" or "content". */
const char *output_privacy_name(enum privacy_class privacy);

#endif
