#include "test/simulation/verdict.h"

const unsigned char *verdict_output(const struct simulation *simulation, int topic,
                                    uint64_t *ret_bytes)
{
    if (simulation->broker) {
        return broker_output(simulation->broker, (enum topic)topic, ret_bytes);
    }
    char path[64];
    (void)snprintf(path, sizeof(path), "out/%s/0.jsonl", output_topics[topic].name);
    return storage_fake_content(simulation->disk, path, ret_bytes);
}

void verdict_on_outputs(struct simulation *simulation)
{
    struct watch *watch = &simulation->watch;
    for (int topic = 0; topic < TOPIC_COUNT && simulation->has_reference; topic++) {
        const struct byte_buffer *expected = &simulation->reference.outputs[topic];
        uint64_t bytes = 0;
        const unsigned char *found = verdict_output(simulation, topic, &bytes);
        if (bytes != watch->model.output_bytes[topic]) {
            watch_violate(watch, "%s: %llu bytes, committed were %llu", output_topics[topic].name,
                          (unsigned long long)bytes,
                          (unsigned long long)watch->model.output_bytes[topic]);
        } else if (bytes > expected->length ||
                   (bytes > 0 && memcmp(found, expected->bytes, bytes) != 0)) {
            watch_violate(watch, "%s: other records than undisturbed within %llu bytes",
                          output_topics[topic].name, (unsigned long long)bytes);
        }
    }
}

void verdict_on_end(struct simulation *simulation)
{
    struct watch *watch = &simulation->watch;
    const struct committed *expected = &simulation->reference.end;
    const struct committed *found = &watch->model;
    if (memcmp(found->records.meaning, expected->records.meaning, sizeof(found->records.meaning)) !=
            0 ||
        found->records.count != expected->records.count) {
        watch_violate(watch, "at the end: the records are not those of the undisturbed run");
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        if (found->output_count[topic] != expected->output_count[topic] ||
            found->output_count[topic] != found->progress.counters.outputs[topic]) {
            watch_violate(watch, "at the end: %s: %llu records, undisturbed %llu, counted %llu",
                          output_topics[topic].name, (unsigned long long)found->output_count[topic],
                          (unsigned long long)expected->output_count[topic],
                          (unsigned long long)found->progress.counters.outputs[topic]);
        }
    }
    bool is_equal = found->journal.count == expected->journal.count;
    for (uint32_t i = 0; is_equal && i < found->journal.count; i++) {
        const struct committed_entry *a = &found->journal.entries[i];
        const struct committed_entry *b = &expected->journal.entries[i];
        is_equal = a->ordinal == b->ordinal && a->value == b->value && a->payload == b->payload &&
                   a->kind == b->kind;
    }
    if (!is_equal) {
        watch_violate(watch, "at the end: the journal is not that of the undisturbed run");
    }
}

void verdict_on_time(struct simulation *simulation, const struct committed *model)
{
    const struct script *script = &simulation->script;
    int64_t marks[ORIGINS_MAX] = {0};
    int64_t latest_ms = ORIGIN_TIME_MIN;
    uint32_t idle = 0;
    for (uint64_t i = 0; i < model->position.ordinal && script->origin_count > 0; i++) {
        const struct input_origin *origin = &script->events[i].origin;
        bool is_idle = origin->mark_ms == ORIGIN_IDLE;
        if (origin->is_ahead) {
            continue; /* Its event is a dead letter, and the mark stands as it is. */
        }
        idle += is_idle;
        idle -= marks[origin->partition] == ORIGIN_IDLE;
        marks[origin->partition] = origin->mark_ms;
        latest_ms = !is_idle && origin->mark_ms > latest_ms ? origin->mark_ms : latest_ms;
    }
    bool is_idle = script->origin_count > 0 && idle == script->origin_count;
    simulation->watch.hits[FAULT_ALL_IDLE] += is_idle;
    if (is_idle && model->progress.time_max_ms < latest_ms) {
        watch_violate(&simulation->watch, "all origins are idle, and time stands at %lld: %lld",
                      (long long)model->progress.time_max_ms, (long long)latest_ms);
    }
}
