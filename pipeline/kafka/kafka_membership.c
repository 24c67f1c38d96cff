#include "pipeline/kafka/kafka_membership.h"

#include "pipeline/base/clock.h"
#include "pipeline/base/log.h"

/* A member of that many session time-outs has settled. */
#define SETTLED_SESSIONS 4u
#define TIMES_MAX 5u

bool kafka_membership_may_return(uint64_t member_ns, int64_t session_timeout_ms,
                                 uint32_t times_ended)
{
    uint64_t settled_ns = SETTLED_SESSIONS * (uint64_t)session_timeout_ms * 1000000u;
    return member_ns < settled_ns && times_ended <= TIMES_MAX;
}

/* All inputs, so that the group's offsets of none expire. */
static rd_kafka_topic_partition_list_t *list_topics(const struct kafka_topics *topics)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < topics->input_count; i++) {
        (void)rd_kafka_topic_partition_list_add(list, topics->inputs[i], RD_KAFKA_PARTITION_UA);
    }
    for (uint32_t i = 0; topics->sources && i < topics->sources->input_count; i++) {
        (void)rd_kafka_topic_partition_list_add(list, topics->sources->inputs[i],
                                                RD_KAFKA_PARTITION_UA);
    }
    for (uint32_t i = 0; i < topics->hop_count; i++) {
        (void)rd_kafka_topic_partition_list_add(list, topics->hops[i].input, RD_KAFKA_PARTITION_UA);
    }
    if (topics->leader != topics->inputs[0]) {
        (void)rd_kafka_topic_partition_list_add(list, topics->leader, RD_KAFKA_PARTITION_UA);
    }
    return list;
}

enum status kafka_membership_join(struct kafka_membership *membership, struct error *error)
{
    enum status status =
        kafka_member_create(membership->setup, membership->index, membership->on_rebalance,
                            membership->opaque, &membership->member, error);
    if (status != STATUS_OK) {
        membership->member = NULL;
        return status;
    }
    membership->asked_ns = clock_monotonic_ns();
    rd_kafka_topic_partition_list_t *topics = list_topics(membership->topics);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(membership->member, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? STATUS_OK
               : error_set(error, STATUS_FATAL, "kafka: joining group %s: %s",
                           membership->setup->group, rd_kafka_err2str(code));
}

void kafka_membership_rearranged(struct kafka_membership *membership)
{
    membership->asked_ns = clock_monotonic_ns();
}

/* The handle has ended; says whether another one may take its place. */
static enum status shut_out(struct kafka_membership *membership, rd_kafka_resp_err_t code,
                            const char *text, struct error *error)
{
    uint64_t member_ns = clock_monotonic_ns() - membership->asked_ns;
    int64_t session_ms = membership->setup->options->session_timeout_ms;
    bool had_settled = !kafka_membership_may_return(member_ns, session_ms, 0);
    membership->times_ended = had_settled ? 1 : membership->times_ended + 1;
    bool may_return = code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID &&
                      kafka_membership_may_return(member_ns, session_ms, membership->times_ended);
    return error_set(error, may_return ? STATUS_RETRY : STATUS_FATAL,
                     "kafka: group %s, instance %s: %s", membership->setup->group,
                     membership->setup->instance, text);
}

enum status kafka_membership_poll(struct kafka_membership *membership, struct error *error)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(membership->member, 0);
    if (!message) {
        return STATUS_OK;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_line(LOG_WARNING, "group", "worker=%u message=\"%s\"", membership->index,
                 rd_kafka_message_errstr(message));
    }
    rd_kafka_message_destroy(message);
    char text[256];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(membership->member, text, sizeof(text));
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? STATUS_OK : shut_out(membership, code, text, error);
}

void kafka_membership_leave(struct kafka_membership *membership)
{
    if (membership->member) {
        (void)rd_kafka_consumer_close(membership->member);
        rd_kafka_destroy(membership->member);
        membership->member = NULL;
    }
}
