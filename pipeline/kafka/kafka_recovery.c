#include "pipeline/kafka/kafka_recovery.h"

#include <string.h>

#include "pipeline/kafka/kafka_route_batch.h"

static enum status refuse_record(void *context, const struct changelog_entry *entry,
                                 uint64_t log_position, struct error *error)
{
    const struct kafka_recovery *self = context;
    (void)entry;
    return error_set(error, STATUS_INVALID,
                     "kafka: group %s has no committed offset for partition %d, but %s has a "
                     "record before offset %llu: the offsets have expired or the group was "
                     "renamed; set the group's offsets, or make the changelog anew",
                     self->options->setup->group, (int)self->options->partition,
                     self->options->topics->changelog, (unsigned long long)log_position);
}

static enum status read_back(const struct kafka_recovery *self, uint64_t from,
                             const struct recovery_visitor *visitor, uint64_t *ret_records,
                             struct error *error)
{
    struct kafka_restore_options options = {
        .fetcher = self->options->fetcher,
        .changelog = self->options->topics->changelog,
        .partition = self->options->partition,
        .from = from > self->range.first ? from : self->range.first,
        .to = self->range.last,
        .is_cancelled = self->options->is_cancelled,
        .progress = self->options->progress,
    };
    return kafka_restore(&options, visitor, ret_records, error);
}

/* Each commit changes the task's own record at least: a changelog without one is not the one. */
static enum status go_on(const struct kafka_recovery *self, uint64_t number, struct error *error)
{
    uint64_t records = 0;
    uint64_t from = self->from;
    if (from > self->range.last || (from > 0 && from < self->range.first)) {
        return error_set(error, STATUS_FATAL,
                         "kafka: the state is as of %llu, the changelog has %llu to %llu",
                         (unsigned long long)from, (unsigned long long)self->range.first,
                         (unsigned long long)self->range.last);
    }
    enum status status = read_back(self, from, self->visitor, &records, error);
    if (status == STATUS_OK && from == 0 && records == 0 && number > 0) {
        status = error_set(error, STATUS_INVALID,
                           "kafka: group %s has made %llu commits of partition %d, but %s is "
                           "empty: it was deleted or is another application's; reset the group's "
                           "offsets to begin anew",
                           self->options->setup->group, (unsigned long long)number,
                           (int)self->options->partition, self->options->topics->changelog);
    }
    return status;
}

/* Nothing was ever committed; then the changelog must not have anything either. */
static enum status begin_anew(const struct kafka_recovery *self, struct error *error)
{
    const struct recovery_visitor refuse = {.context = (void *)(uintptr_t)self,
                                            .record = refuse_record};
    uint64_t records = 0;
    return read_back(self, 0, &refuse, &records, error);
}

/* Where the input goes on; topics of which nothing was committed begin as configured. */
static enum status find_place(const struct kafka_recovery *self,
                              const struct kafka_committed *committed, struct error *error)
{
    const struct kafka_topics *topics = self->options->topics;
    struct kafka_places *places = self->options->places;
    struct kafka_place *place = &places->committed;
    memcpy(place->offsets, committed->offsets, sizeof(place->offsets));
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < topics->input_count && status == STATUS_OK; i++) {
        if (committed->is_new || place->offsets[i] < 0) {
            struct kafka_options options = *self->options->setup->options;
            /* What was sent on begins where that began. */
            options.start = topics->sources ? KAFKA_START_EARLIEST : options.start;
            status = kafka_start_offset(self->options->fetcher, &options, topics->inputs[i],
                                        self->options->partition, &place->offsets[i], error);
        }
    }
    places->count = topics->input_count;
    places->is_counting = topics->input_count > 1 || committed->is_counting;
    place->ordinal = !places->is_counting ? (uint64_t)place->offsets[0]
                     : committed->is_new  ? 0
                                          : committed->ordinal;
    return status;
}

enum status kafka_recovery_run(const struct kafka_recovery *self,
                               struct kafka_committed *ret_committed, struct error *error)
{
    const struct kafka_log_options *options = self->options;
    enum status status = kafka_read_committed(options->member, options->topics, options->partition,
                                              ret_committed, error);
    if (status == STATUS_OK) {
        status = kafka_check_way(options->member, options->setup, options->topics,
                                 options->partition, error);
    }
    if (status == STATUS_OK && options->setup->is_route) {
        options->routed->committed = ret_committed->time;
    } else if (status == STATUS_OK) {
        status = ret_committed->is_new ? begin_anew(self, error)
                                       : go_on(self, ret_committed->number, error);
    }
    return status == STATUS_OK ? find_place(self, ret_committed, error) : status;
}
