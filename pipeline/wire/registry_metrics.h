/* What a schema registry's client tells as metrics. */
#ifndef PIPELINE_WIRE_REGISTRY_METRICS_H
#define PIPELINE_WIRE_REGISTRY_METRICS_H

#include "pipeline/metrics/metrics.h"
#include "pipeline/wire/schema_registry.h"

#define REGISTRY_METRIC_COUNT 6

extern const struct metric_info registry_metric_infos[REGISTRY_METRIC_COUNT];

struct registry_metrics {
    struct metric_series *series[REGISTRY_METRIC_COUNT]; /* Owned by the registry of metrics. */
};

/* Adds the series; `ret_metrics` is their owner for metrics_remove(). */
MUST_CHECK enum status registry_metrics_add(struct metrics *metrics,
                                            struct registry_metrics *ret_metrics,
                                            struct error *error);

/* Writes them anew: about once a second, always by the same thread. */
void registry_metrics_publish(struct registry_metrics *metrics, struct schema_registry *registry);

#endif
