#include "pipeline/run/labelled_rows.h"

#include <stdlib.h>
#include <string.h>

#include "models/key_map.h"
#include "pipeline/base/hash.h"
#include "pipeline/run/runner.h"
#include "pipeline/run/user_outcomes.h"

#define PROGRESS_EVENTS 100000u

const char *const row_target_names[TARGET_COUNT + 1] = {"purchase_in_session",
                                                        "abandon_cart",
                                                        "purchase_within",
                                                        "label",
                                                        "truth",
                                                        "table",
                                                        "none",
                                                        NULL};

const char *const truth_join_names[TRUTH_JOIN_COUNT + 1] = {"event_id", "user_id", "ip", NULL};

/* What is remembered of a session, visit or other group of rows. */
struct row_group {
    uint64_t key;
    int64_t begin_ms;
    uint64_t purchase_sequence; /* UINT64_MAX: none so far. */
    int64_t purchase_ms;
    bool has_cart;
    bool is_positive;
};

struct collector {
    struct stage stage;
    const struct row_options *options;
    struct row_table *table;
    struct row_counts *counts;
    struct key_map group_numbers;
    struct row_group *groups; /* [group_capacity] */
    uint32_t group_capacity;
    struct user_outcomes outcomes; /* Where rows are labelled by what their user does later. */
    struct key_map bad_events;     /* Hashes of event ids that a label speaks badly of. */
    uint64_t sequence;
    int32_t cart_column;
};

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "labelled rows: out of memory");
}

static struct row_group *find_group(struct collector *self, uint64_t key, int64_t begin_ms)
{
    uint32_t number = key_map_add(&self->group_numbers, key);
    if (number == KEY_MAP_NONE) {
        return NULL;
    }
    if (number >= self->group_capacity) {
        uint32_t capacity = self->group_capacity ? self->group_capacity * 2 : 1024;
        struct row_group *larger = realloc(self->groups, (size_t)capacity * sizeof(*larger));
        if (!larger) {
            return NULL;
        }
        memset(larger + self->group_capacity, 0,
               (capacity - self->group_capacity) * sizeof(*larger));
        self->groups = larger;
        self->group_capacity = capacity;
    }
    struct row_group *group = &self->groups[number];
    if (group->key == 0) {
        *group =
            (struct row_group){.key = key, .begin_ms = begin_ms, .purchase_sequence = UINT64_MAX};
        self->counts->groups++;
    }
    return group;
}

static bool is_on_schedule(const struct row_options *options, uint32_t prefix)
{
    for (uint32_t i = 0; i < options->prefix_count; i++) {
        if (options->prefixes[i] == prefix) {
            return true;
        }
    }
    return options->prefix_count == 0;
}

static uint64_t event_hash(const struct event_batch *batch, uint32_t row, enum event_field field)
{
    if (!event_has(batch, row, field)) {
        return 0;
    }
    uint64_t hash = hash64(*(batch->text[field] + row));
    return hash ? hash : 1;
}

static bool is_listed(const struct text_list *list, struct text word)
{
    for (size_t i = 0; i < list->count; i++) {
        if (text_is(word, list->items[i])) {
            return true;
        }
    }
    return false;
}

static bool is_by_user(const struct row_options *options)
{
    return options->target == TARGET_PURCHASE_WITHIN ||
           (options->target == TARGET_LABEL && options->label_by_user);
}

static uint64_t user_hash(const struct event_batch *batch, uint32_t row)
{
    uint64_t hash = hash64_combine(batch->user_key[row].high, batch->user_key[row].low);
    return hash ? hash : 1;
}

static enum status note_outcome(struct collector *self, const struct event_batch *batch,
                                uint32_t row, struct error *error)
{
    const struct user_outcome outcome = {user_hash(batch, row), batch->time_ms[row],
                                         self->sequence};
    return user_outcomes_add(&self->outcomes, &outcome, error);
}

static enum status take_label(struct collector *self, const struct event_batch *batch, uint32_t row,
                              struct error *error)
{
    bool is_of_user = self->options->label_by_user;
    uint64_t event = is_of_user ? 1 : event_hash(batch, row, FIELD_LABEL_FOR);
    if (!self->options->label_values || event == 0 || !event_has(batch, row, FIELD_LABEL_VALUE) ||
        !is_listed(self->options->label_values, batch->text[FIELD_LABEL_VALUE][row])) {
        return STATUS_OK;
    }
    self->counts->labels++;
    if (is_of_user) {
        return self->options->target == TARGET_LABEL ? note_outcome(self, batch, row, error)
                                                     : STATUS_OK;
    }
    return key_map_add(&self->bad_events, event) == KEY_MAP_NONE ? out_of_memory(error) : STATUS_OK;
}

static bool find_truth(const struct row_options *options, const struct event_batch *batch,
                       uint32_t row, struct truth *truth)
{
    static const enum event_field fields[TRUTH_JOIN_COUNT] = {
        [TRUTH_BY_EVENT_ID] = FIELD_EVENT_ID,
        [TRUTH_BY_USER_ID] = FIELD_USER_ID,
        [TRUTH_BY_IP] = FIELD_IP,
    };
    enum event_field field = fields[options->truth_by];
    if (!event_has(batch, row, field)) {
        return false;
    }
    struct text name = batch->text[field][row];
    return options->truth_by == TRUTH_BY_EVENT_ID
               ? truth_file_find(options->truth, name, truth)
               : truth_file_find_visit(options->truth, name, truth);
}

/* The group of a row, NULL where it has none. */
static enum status group_of(struct collector *self, const struct event_batch *batch, uint32_t row,
                            struct truth *truth, struct row_group **ret_group, struct error *error)
{
    uint64_t key = batch->session_id[row];
    int64_t begin_ms = batch->session_start_ms[row];
    *ret_group = NULL;
    *truth = (struct truth){.kind = NO_KIND};
    if (self->options->truth) {
        if (!find_truth(self->options, batch, row, truth)) {
            return STATUS_OK;
        }
        self->counts->truths_joined++;
        key = truth->visit;
        begin_ms = batch->time_ms[row];
    }
    if (key == 0) {
        return STATUS_OK;
    }
    *ret_group = find_group(self, key, begin_ms);
    return *ret_group ? STATUS_OK : out_of_memory(error);
}

static void note_purchase(struct collector *self, const struct event_batch *batch, uint32_t row,
                          struct row_group *group)
{
    if (batch->type[row] == EVENT_PURCHASE && group->purchase_sequence == UINT64_MAX) {
        group->purchase_sequence = self->sequence;
        group->purchase_ms = batch->time_ms[row];
        group->is_positive = true;
        self->counts->positive_groups++;
    }
}

static bool is_wanted(const struct collector *self, const struct event_batch *batch, uint32_t row,
                      const struct row_group *group, const struct truth *truth, bool has_cart)
{
    const struct row_options *options = self->options;
    if (options->types != 0 && !(options->types >> batch->type[row] & 1)) {
        return false;
    }
    if (truth->kind != NO_KIND && (options->kinds_left_out >> truth->kind & 1)) {
        return false;
    }
    if (options->target == TARGET_PURCHASE || options->target == TARGET_ABANDON) {
        bool is_before = group->purchase_sequence == UINT64_MAX;
        return is_before && (options->target == TARGET_PURCHASE || has_cart || options->keeps_all);
    }
    return true;
}

static enum status take_row(struct collector *self, const struct event_batch *batch, uint32_t row,
                            struct error *error)
{
    const struct row_options *options = self->options;
    struct truth truth;
    struct row_group *group;
    enum status status = group_of(self, batch, row, &truth, &group, error);
    if (status == STATUS_OK && options->target == TARGET_PURCHASE_WITHIN &&
        batch->type[row] == EVENT_PURCHASE) {
        status = note_outcome(self, batch, row, error);
    }
    if (status != STATUS_OK || !group) {
        return status;
    }
    note_purchase(self, batch, row, group);
    const float *features = batch->features + (size_t)row * batch->feature_stride;
    bool has_cart = self->cart_column >= 0 && features[self->cart_column] > 0;
    bool is_first_cart = has_cart && !group->has_cart;
    group->has_cart = group->has_cart || has_cart;
    bool is_due = is_on_schedule(options, batch->session_event_count[row]) &&
                  (options->target != TARGET_ABANDON || has_cart);
    if (!is_wanted(self, batch, row, group, &truth, has_cart) ||
        !(is_due || is_first_cart || options->keeps_all) || group->begin_ms < options->from_ms ||
        batch->time_ms[row] >= options->before_ms) {
        return STATUS_OK;
    }
    bool is_true = options->truth_is_bot ? truth.is_bot : truth.is_fraud;
    struct table_row made = {
        .time_ms = batch->time_ms[row],
        .group_time_ms = group->begin_ms,
        .group = is_by_user(options) ? user_hash(batch, row) : group->key,
        .sequence = self->sequence,
        .event = event_hash(batch, row, FIELD_EVENT_ID),
        .prefix = batch->session_event_count[row],
        .score = batch->score[options->score][row],
        .label = options->target == TARGET_TRUTH && is_true,
        .kind = truth.kind,
        .is_first_cart = is_first_cart,
        .is_kept_whole = options->target == TARGET_TRUTH && is_true,
        .is_on_schedule = is_due,
    };
    if (options->slices) {
        status = row_slices_of_event(options->slices, batch, row, made.slice, error);
    }
    return status == STATUS_OK ? row_table_add(self->table, &made, features, error) : status;
}

static void count_event(struct collector *self, int64_t time_ms)
{
    struct row_counts *counts = self->counts;
    counts->first_ms =
        counts->events == 0 || time_ms < counts->first_ms ? time_ms : counts->first_ms;
    counts->last_ms = counts->events == 0 || time_ms > counts->last_ms ? time_ms : counts->last_ms;
    counts->events++;
    if (self->options->progress && counts->events % PROGRESS_EVENTS == 0) {
        self->options->progress(counts->events, counts->last_ms);
    }
}

static enum status collect(struct stage *stage, struct event_batch *batch, struct error *error)
{
    struct collector *self = container_of(stage, struct collector, stage);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        self->sequence++;
        if (batch->state[row] != ROW_LIVE || batch->kind[row] != ROW_EVENT ||
            batch->time_ms[row] >= self->options->until_ms) {
            continue;
        }
        count_event(self, batch->time_ms[row]);
        status = batch->type[row] == EVENT_LABEL ? take_label(self, batch, row, error)
                                                 : take_row(self, batch, row, error);
    }
    return status;
}

static void destroy_nothing(struct stage *stage)
{
    (void)stage; /* The collector stands on its maker's stack. */
}

static const struct stage_info collector_info = {
    .name = "labelled_rows", .doc = "Copies rows as they are served", .reads = "all", .writes = ""};
static const struct stage_ops collector_ops = {
    .info = &collector_info, .process = collect, .destroy = destroy_nothing};

static const struct user_outcome *find_outcome(const struct collector *self,
                                               const struct table_row *row)
{
    return user_outcomes_next(&self->outcomes, row->group, row->time_ms, self->options->within_ms);
}

static void label_rows_by_user(struct collector *self)
{
    struct row_table *table = self->table;
    user_outcomes_sort(&self->outcomes);
    for (uint32_t i = 0; i < table->count; i++) {
        table->rows[i].label = find_outcome(self, &table->rows[i]) != NULL;
        self->counts->labels_joined += table->rows[i].label;
    }
}

static void label_rows(struct collector *self)
{
    struct row_table *table = self->table;
    enum row_target target = self->options->target;
    if (is_by_user(self->options)) {
        label_rows_by_user(self);
        return;
    }
    for (uint32_t i = 0; i < table->count; i++) {
        struct table_row *row = &table->rows[i];
        const struct row_group *group =
            &self->groups[key_map_find(&self->group_numbers, row->group)];
        if (target == TARGET_PURCHASE) {
            row->label = group->is_positive;
        } else if (target == TARGET_ABANDON) {
            row->label = !group->is_positive;
        } else if (target == TARGET_LABEL) {
            bool is_bad =
                row->event != 0 && key_map_find(&self->bad_events, row->event) != KEY_MAP_NONE;
            row->label = is_bad;
            self->counts->labels_joined += is_bad;
        }
    }
}

static bool has_known_outcome(void *context, const struct table_row *row)
{
    const struct collector *self = context;
    if (is_by_user(self->options)) {
        const struct user_outcome *outcome = find_outcome(self, row);
        int64_t within_ms = self->options->within_ms;
        int64_t gap_ms = self->options->gap_ms > within_ms ? self->options->gap_ms : within_ms;
        /* A row that came in late may have been served with what it is to foretell. */
        return row->time_ms <= self->counts->last_ms - gap_ms &&
               !(outcome && outcome->sequence < row->sequence);
    }
    const struct row_group *group = &self->groups[key_map_find(&self->group_numbers, row->group)];
    bool is_by_session =
        self->options->target == TARGET_PURCHASE || self->options->target == TARGET_ABANDON;
    /* A purchase that came in late may be older than rows that were served before it. */
    if (is_by_session && group->is_positive && row->time_ms >= group->purchase_ms) {
        return false;
    }
    return row->time_ms <= self->counts->last_ms - self->options->gap_ms;
}

static enum status check_joined(const struct collector *self, struct error *error)
{
    const struct row_counts *counts = self->counts;
    if (self->options->target == TARGET_TRUTH && counts->truths_joined == 0) {
        return error_set(error, STATUS_INVALID,
                         "truth: none of %llu events belongs to a visit of the truth",
                         (unsigned long long)counts->events);
    }
    if (self->options->target == TARGET_LABEL && counts->labels_joined == 0) {
        return error_set(error, STATUS_INVALID,
                         "label: %llu label events of the values asked for, and none speaks of a "
                         "row that was chosen",
                         (unsigned long long)counts->labels);
    }
    return STATUS_OK;
}

enum status labelled_rows_make(const struct config *config, const char *const *files,
                               uint32_t file_count, const struct row_options *options,
                               struct row_table *ret_table, struct row_counts *ret_counts,
                               struct error *error)
{
    const struct feature_set *set = stage_plan_features(config->plan);
    struct collector self = {
        .stage = {.ops = &collector_ops},
        .options = options,
        .table = ret_table,
        .counts = ret_counts,
        .cart_column = feature_index(set, "cart_pieces"),
    };
    *ret_counts = (struct row_counts){0};
    enum status status =
        row_table_init(ret_table, set->count, options->rows_max, options->seed, error);
    if (status == STATUS_OK) {
        status = runner_replay(config, files, file_count, &self.stage, error);
    }
    if (status == STATUS_OK) {
        label_rows(&self);
        row_table_filter(ret_table, has_known_outcome, &self);
        row_table_weigh(ret_table);
        status = check_joined(&self, error);
    }
    key_map_release(&self.group_numbers);
    key_map_release(&self.bad_events);
    user_outcomes_release(&self.outcomes);
    free(self.groups);
    if (status != STATUS_OK) {
        row_table_release(ret_table);
    }
    return status;
}
