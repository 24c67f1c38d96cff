#include "pipeline/wire/registry_metrics.h"

enum { REQUESTS, FAILURES, KNOWN, PENDING, UNKNOWN, AWAY };

const struct metric_info registry_metric_infos[REGISTRY_METRIC_COUNT] = {
    [REQUESTS] = {.name = "nudge_schema_registry_requests_total",
                  .unit = "",
                  .doc = "Requests sent to the schema registry, answered or not",
                  .type = METRIC_COUNTER},
    [FAILURES] = {.name = "nudge_schema_registry_failures_total",
                  .unit = "",
                  .doc = "Of them those that were not answered, or refused, and are repeated",
                  .type = METRIC_COUNTER},
    [KNOWN] = {.name = "nudge_schema_registry_known_schemas",
               .unit = "",
               .doc = "Schemas that are known and kept",
               .type = METRIC_GAUGE},
    [PENDING] = {.name = "nudge_schema_registry_pending_schemas",
                 .unit = "",
                 .doc = "Schemas that are being asked for; their partitions wait",
                 .type = METRIC_GAUGE},
    [UNKNOWN] = {.name = "nudge_schema_registry_unknown_schemas",
                 .unit = "",
                 .doc = "Ids that the registry does not know, or that are no Avro schema",
                 .type = METRIC_GAUGE},
    [AWAY] = {.name = "nudge_schema_registry_away",
              .unit = "",
              .doc = "1 while the registry does not answer",
              .type = METRIC_GAUGE},
};

enum status registry_metrics_add(struct metrics *metrics, struct registry_metrics *ret_metrics,
                                 struct error *error)
{
    for (int i = 0; i < REGISTRY_METRIC_COUNT; i++) {
        enum status status = metrics_add(metrics, &registry_metric_infos[i], NULL, ret_metrics,
                                         &ret_metrics->series[i], error);
        if (status != STATUS_OK) {
            metrics_remove(metrics, ret_metrics);
            return status;
        }
    }
    return STATUS_OK;
}

void registry_metrics_publish(struct registry_metrics *metrics, struct schema_registry *registry)
{
    struct schema_registry_stats stats = schema_registry_stats(registry);
    metric_raise(metrics->series[REQUESTS], stats.requests);
    metric_raise(metrics->series[FAILURES], stats.failures);
    metric_set(metrics->series[KNOWN], (int64_t)stats.known);
    metric_set(metrics->series[PENDING], (int64_t)stats.pending);
    metric_set(metrics->series[UNKNOWN], (int64_t)stats.unknown);
    metric_set(metrics->series[AWAY], stats.is_away);
}
