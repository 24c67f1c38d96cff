/*
 * The calls that are made of a schema registry, each a request and what its answer says. For
 * schema_registry.c: knows no thread, no cache and no repetition.
 */
#ifndef PIPELINE_WIRE_REGISTRY_CALL_H
#define PIPELINE_WIRE_REGISTRY_CALL_H

#include "pipeline/wire/http_client.h"
#include "pipeline/wire/schema_registry.h"

#define REGISTRY_MEDIA_TYPE "application/vnd.schemaregistry.v1+json"

/* Each gives the status of http_client_send(), and STATUS_INVALID for an answer of another form. */

/* Any request that needs no rights beyond being let in. */
MUST_CHECK enum status registry_call_hello(struct http_client *client, struct error *error);

/* FOUND (with *ret_schema to free()), UNKNOWN or UNUSABLE, with detail[REGISTRY_DETAIL_BYTES]. */
MUST_CHECK enum status registry_call_schema(struct http_client *client, uint32_t id,
                                            enum registry_answer *ret_answer, char **ret_schema,
                                            char *ret_detail, struct error *error);

/* STATUS_INVALID with the registry's words where it refuses the schema. */
MUST_CHECK enum status registry_call_register(struct http_client *client, const char *subject,
                                              const char *schema, uint32_t *ret_id,
                                              struct error *error);

/* Looks the schema up below the subject; *ret_is_there false: the registry does not have it. */
MUST_CHECK enum status registry_call_lookup(struct http_client *client, const char *subject,
                                            const char *schema, bool *ret_is_there,
                                            uint32_t *ret_id, struct error *error);

/* detail[REGISTRY_DETAIL_BYTES] has the registry's first word on why not. */
MUST_CHECK enum status registry_call_compatible(struct http_client *client, const char *subject,
                                                const char *schema, bool *ret_is_compatible,
                                                char *ret_detail, struct error *error);

#endif
