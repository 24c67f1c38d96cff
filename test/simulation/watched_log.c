#include "test/simulation/watched_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/stage.h" /* container_of */

void watch_violate(struct watch *watch, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!watch->violation[0]) {
        (void)vsnprintf(watch->violation, sizeof(watch->violation), format, arguments);
    }
    va_end(arguments);
}

static struct watched_log *self_of(struct commit_log *log)
{
    return container_of(log, struct watched_log, log);
}

/* ---- what a recovery finds ---- */

/* Records as store and log together have them, and the journal that the log showed. */
struct view {
    struct record_map records;
    struct committed_journal journal;
    struct watch *watch;
    uint64_t timers_due; /* Hashes of (where, key): of records less of entries. */
    uint64_t replayed;
    const struct recovery_visitor *visitor;
    uint64_t from;
};

static uint64_t timer_hash(int64_t index_ms, struct record_key key)
{
    uint64_t hash = hash64_combine((uint64_t)index_ms, key.kind);
    return hash64_combine(hash64_combine(hash, key.id.high), key.id.low);
}

static bool view_store(void *context, const struct store_key *key, struct store_value value)
{
    struct view *view = context;
    struct record_key record = {.kind = key->bytes[1]};
    int64_t index_ms;
    if (store_key_read_timer(key, &index_ms, &record)) {
        view->timers_due -= timer_hash(index_ms, record);
        return true;
    }
    if (key->length != 18 || key->bytes[0] != 'r') {
        watch_violate(view->watch, "store: a key that is neither a record's nor a timer's");
        return false;
    }
    for (int i = 0; i < 8; i++) {
        record.id.high = record.id.high << 8 | key->bytes[2 + i];
        record.id.low = record.id.low << 8 | key->bytes[10 + i];
    }
    memcpy(&index_ms, (const char *)value.bytes + RECORD_INDEX_AT, sizeof(index_ms));
    if (index_ms != TIMER_NONE) {
        view->timers_due += timer_hash(index_ms, record);
    }
    record_map_put(&view->records, NULL, record, value.bytes, value.length);
    return true;
}

static void view_take_store(struct view *view, struct state_store *store)
{
    struct store_key from = {.bytes = {'r'}, .length = 1};
    struct store_key to = {.bytes = {'t' + 1}, .length = 1};
    struct error error;
    enum status status = store->ops->scan(store, &from, &to, view_store, view, &error);
    assert(status == STATUS_OK);
    if (view->timers_due != 0) {
        watch_violate(view->watch, "store: the timer entries are not those of the records");
    }
}

static enum status view_record(void *context, const struct changelog_entry *entry,
                               uint64_t log_position, struct error *error)
{
    struct view *view = context;
    view->replayed++;
    if (log_position <= view->from) {
        watch_violate(view->watch, "recovery: a record of commit %llu, which the store has",
                      (unsigned long long)log_position);
    }
    record_map_put(&view->records, NULL, entry->key, entry->bytes, entry->length);
    return view->visitor->record(view->visitor->context, entry, log_position, error);
}

static enum status view_journal(void *context, const struct journal_entry *entry,
                                struct error *error)
{
    struct view *view = context;
    (void)error;
    committed_journal_add(&view->journal, entry, 0);
    return STATUS_OK;
}

static void compare_records(struct watch *watch, const struct view *view)
{
    const struct record_map *expected = &watch->model.records;
    for (uint32_t i = 0; i < expected->capacity; i++) {
        const struct committed_record *record = &expected->places[i];
        if (record->length == 0) {
            continue;
        }
        const struct committed_record *found = record_map_find(&view->records, record->key);
        if (!found || found->length != record->length ||
            memcmp(found->bytes, record->bytes, record->length) != 0) {
            watch_violate(
                watch,
                "recovery: store and log %s a %s's record as of commit %llu, store at "
                "%llu",
                found ? "have another state of" : "do not have", entity_names[record->key.kind],
                (unsigned long long)watch->model.log_position, (unsigned long long)view->from);
            return;
        }
    }
    if (view->records.count != expected->count) {
        watch_violate(watch, "recovery: %u records, expected %u", view->records.count,
                      expected->count);
    }
}

static void compare_journal(struct watch *watch, const struct view *view)
{
    const struct committed_journal *expected = &watch->model.journal;
    uint32_t at = 0;
    while (at < expected->count && expected->entries[at].log_position <= view->from) {
        at++;
    }
    bool is_equal = expected->count - at == view->journal.count;
    for (uint32_t i = 0; is_equal && i < view->journal.count; i++) {
        const struct committed_entry *a = &expected->entries[at + i];
        const struct committed_entry *b = &view->journal.entries[i];
        is_equal = a->ordinal == b->ordinal && a->value == b->value && a->payload == b->payload &&
                   a->kind == b->kind;
    }
    if (!is_equal) {
        watch_violate(watch, "recovery: %u journal entries behind commit %llu, expected %u",
                      view->journal.count, (unsigned long long)view->from, expected->count - at);
    }
}

static void compare_point(struct watch *watch, const struct commit_point *point)
{
    struct committed *model = &watch->model;
    if (watch->pending.is_held && point->log_position == model->log_position + 1) {
        committed_add(model, &watch->pending, point->log_position);
    }
    kept_content_release(&watch->pending);
    if (point->log_position != model->log_position || point->is_new != (model->log_position == 0)) {
        watch_violate(watch, "recovery: at commit %llu, but %llu were acknowledged",
                      (unsigned long long)point->log_position,
                      (unsigned long long)model->log_position);
    } else if (point->position.ordinal != model->position.ordinal ||
               point->position.bytes != model->position.bytes ||
               point->position.skip != model->position.skip) {
        watch_violate(watch, "recovery: goes on at record %llu, expected %llu",
                      (unsigned long long)point->position.ordinal,
                      (unsigned long long)model->position.ordinal);
    }
}

static enum status watched_recover(struct commit_log *log, uint64_t from,
                                   const struct recovery_visitor *visitor,
                                   struct commit_point *ret_point, struct error *error)
{
    struct watched_log *self = self_of(log);
    struct watch *watch = self->watch;
    struct view view = {.watch = watch, .visitor = visitor, .from = from};
    struct recovery_visitor watching = {
        .context = &view, .record = view_record, .journal = view_journal};
    view_take_store(&view, self->store);
    if (watch->defect == DEFECT_REPLAY_TOO_LATE && from < watch->model.log_position) {
        from++;
    }
    enum status status = self->inner->ops->recover(self->inner, from, &watching, ret_point, error);
    if (status == STATUS_OK) {
        self->is_recovered = true;
        watch->hits[FAULT_REPLAYED] += view.replayed > 0;
        compare_point(watch, ret_point);
        compare_records(watch, &view);
        compare_journal(watch, &view);
        watch->on_committed(watch->context, &watch->model);
    }
    record_map_release(&view.records);
    free(view.journal.entries);
    return status;
}

/* ---- commits ---- */

/* One in `odds`. */
static bool draw(struct watched_log *self, uint32_t odds)
{
    return random_below(&self->random, odds) == 0;
}

/* The records as they are, in the store though nothing is committed. */
static void write_too_early(struct watched_log *self, const struct commit_content *content)
{
    struct store_put *puts = calloc(content->record_count + 1u, sizeof(*puts));
    assert(puts);
    for (uint32_t i = 0; i < content->record_count; i++) {
        puts[i] = (struct store_put){store_key_of_record(content->records[i].key),
                                     content->records[i].bytes, content->records[i].length};
    }
    struct error error;
    uint64_t position = self->store->ops->position(self->store);
    enum status status =
        self->store->ops->write(self->store, puts, content->record_count, position, &error);
    assert(status == STATUS_OK);
    free(puts);
}

/* What the inner log is given; the task's own content, but for a defect. */
static enum status start_inner(struct watched_log *self, struct error *error)
{
    struct commit_content content = *self->content;
    struct kept_content held_before = self->held_back;
    switch (self->watch->defect) {
    case DEFECT_STORE_BEFORE_LOG:
        write_too_early(self, &content);
        break;
    case DEFECT_POSITION_BEFORE_RECORDS:
        self->held_back = (struct kept_content){0};
        kept_content_take(&self->held_back, &content);
        content.records = held_before.records;
        content.record_count = held_before.is_held ? held_before.content.record_count : 0;
        break;
    case DEFECT_POSITION_AHEAD:
        content.position.ordinal++;
        break;
    case DEFECT_JOURNAL_LEFT_OUT:
        content.journal_count = 0;
        break;
    case DEFECT_RECORD_LEFT_OUT:
        content.record_count -= content.record_count > 1 && draw(self, 4);
        break;
    default:
        break;
    }
    enum status status = self->inner->ops->start(self->inner, &content, error);
    if (self->watch->defect == DEFECT_POSITION_BEFORE_RECORDS) {
        kept_content_release(&held_before);
    }
    self->is_started = status == STATUS_OK;
    return status;
}

/* The defect DONE_BEFORE_COMMIT: what was said to be done is waited for only now. */
static void settle_inner(struct watched_log *self)
{
    enum commit_state state = COMMIT_PENDING;
    uint64_t position;
    struct error error;
    while (self->is_started && state == COMMIT_PENDING &&
           self->inner->ops->poll(self->inner, &state, &position, &error) == STATUS_OK) {
    }
    self->is_started = false;
}

static enum status watched_start(struct commit_log *log, const struct commit_content *content,
                                 struct error *error)
{
    struct watched_log *self = self_of(log);
    struct watch *watch = self->watch;
    if (watch->defect == DEFECT_DONE_BEFORE_COMMIT) {
        settle_inner(self);
    }
    if (!self->is_recovered || (watch->pending.is_held && !self->is_old)) {
        watch_violate(watch, "start: before the recovery, or with a commit under way");
    }
    if (self->misbehaves && draw(self, 12)) {
        watch->hits[FAULT_COMMIT_REFUSED]++;
        return STATUS_RETRY;
    }
    if (self->misbehaves && draw(self, 60)) {
        watch->hits[FAULT_COMMIT_FAILED]++;
        self->has_failed = true;
        return error_set(error, STATUS_FATAL, "log: made to fail");
    }
    self->late_copy = *content;
    self->content = &self->late_copy;
    self->is_started = false;
    self->aborts = self->misbehaves && draw(self, 8);
    self->polls = self->misbehaves && draw(self, 4) ? 1 + random_below(&self->random, 4) : 0;
    watch->hits[FAULT_COMMIT_ABORTED] += self->aborts;
    watch->hits[FAULT_COMMIT_PENDING] += self->polls > 0;
    if (!self->is_old && !self->aborts) {
        kept_content_take(&watch->pending, content);
    }
    if (self->aborts || (self->polls > 0 && draw(self, 2))) {
        return STATUS_OK; /* Handed over with the last poll, or never. */
    }
    enum status status = start_inner(self, error);
    if (status == STATUS_RETRY) {
        kept_content_release(&watch->pending);
    }
    return status;
}

static void note_done(struct watched_log *self, uint64_t log_position)
{
    struct watch *watch = self->watch;
    if (self->is_old) {
        watch_violate(watch, "commit %llu of an owner that had been replaced was taken",
                      (unsigned long long)log_position);
        return;
    }
    if (log_position != watch->model.log_position + 1) {
        watch_violate(watch, "poll: commit %llu is done, expected %llu",
                      (unsigned long long)log_position,
                      (unsigned long long)watch->model.log_position + 1);
    }
    committed_add(&watch->model, &watch->pending, log_position);
    kept_content_release(&watch->pending);
    watch->on_committed(watch->context, &watch->model);
}

/* A defect: as if what the store has were durable. */
static void trim_too_early(struct watched_log *self)
{
    struct error error;
    uint64_t position = self->store->ops->position(self->store);
    enum status status = self->inner->ops->trim(self->inner, position, &error);
    (void)status;
}

static enum status watched_poll(struct commit_log *log, enum commit_state *ret_state,
                                uint64_t *ret_log_position, struct error *error)
{
    struct watched_log *self = self_of(log);
    struct watch *watch = self->watch;
    if (self->polls > 0) {
        self->polls--;
        *ret_state = COMMIT_PENDING;
        return STATUS_OK;
    }
    if (self->aborts) {
        *ret_state = COMMIT_ABORTED;
        return STATUS_OK;
    }
    if (!self->is_started) {
        enum status status = start_inner(self, error);
        if (status == STATUS_RETRY) {
            *ret_state = COMMIT_PENDING;
            return STATUS_OK;
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (watch->defect == DEFECT_DONE_BEFORE_COMMIT) {
        *ret_state = COMMIT_DONE;
        *ret_log_position = watch->model.log_position + 1;
        note_done(self, *ret_log_position);
        return STATUS_OK;
    }
    enum status status = self->inner->ops->poll(self->inner, ret_state, ret_log_position, error);
    if (status != STATUS_OK || *ret_state == COMMIT_PENDING) {
        return status;
    }
    if (*ret_state == COMMIT_DONE) {
        note_done(self, *ret_log_position);
        if (watch->defect == DEFECT_TRIMMED_EARLY) {
            trim_too_early(self);
        }
    } else {
        watch->hits[FAULT_COMMIT_ABORTED]++;
        kept_content_release(&watch->pending);
    }
    return STATUS_OK;
}

static enum status watched_trim(struct commit_log *log, uint64_t log_position, struct error *error)
{
    struct watched_log *self = self_of(log);
    if (log_position > self->store->ops->durable_position(self->store)) {
        watch_violate(self->watch, "trim: up to %llu, which the store could still lose",
                      (unsigned long long)log_position);
    }
    return self->inner->ops->trim(self->inner, log_position, error);
}

static void watched_close(struct commit_log *log)
{
    struct watched_log *self = self_of(log);
    self->inner->ops->close(self->inner);
    self->inner = NULL;
    kept_content_release(&self->held_back);
}

static const struct commit_log_ops watched_ops = {
    .name = "watched",
    .recover = watched_recover,
    .start = watched_start,
    .poll = watched_poll,
    .trim = watched_trim,
    .close = watched_close,
};

void watched_log_init(struct watched_log *log, struct commit_log *inner, struct state_store *store,
                      struct watch *watch, uint64_t seed)
{
    *log = (struct watched_log){.log.ops = &watched_ops,
                                .inner = inner,
                                .store = store,
                                .watch = watch,
                                .random.state = seed};
}
