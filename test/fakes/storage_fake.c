#include "test/fakes/storage_fake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "test/fakes/storage_fake_content.h"

#define NOTHING UINT32_MAX

const char *const storage_call_names[STORAGE_CALL_COUNT] = {
    [STORAGE_OPEN] = "open",
    [STORAGE_SIZE] = "size",
    [STORAGE_READ] = "read",
    [STORAGE_WRITE] = "write",
    [STORAGE_TRUNCATE] = "truncate",
    [STORAGE_SYNC] = "sync",
    [STORAGE_SYNC_DIRECTORY] = "sync_directory",
    [STORAGE_REMOVE] = "remove",
    [STORAGE_RENAME] = "rename",
    [STORAGE_LIST] = "list",
    [STORAGE_LOCK] = "lock",
};

struct name {
    char *path;
    uint32_t cached; /* Index of the content, or NOTHING. */
    uint32_t durable;
    uint32_t partner; /* The other name of a rename that is not durable; or NOTHING. */
    bool is_locked;
};

struct storage_fake {
    struct storage storage; /* First, so that the two pointers are the same. */
    struct fake_content *contents;
    uint32_t content_count;
    struct name *names;
    uint32_t name_count;
    uint64_t generation; /* Rises with each crash; handles of earlier ones are stale. */
    uint64_t calls[STORAGE_CALL_COUNT];
    uint64_t call_count;
    uint64_t fault_call; /* Number of the call that meets the fault; 0: none. */
    enum storage_fault fault;
    bool is_down;
    bool is_sync_ignored;
    bool is_cut_ignored;
    uint64_t capacity;
    storage_fake_hook *hook;
    void *hook_context;
};

struct fake_file {
    struct storage_file file; /* First. */
    struct storage_fake *fake;
    uint64_t generation;
    uint32_t name;
    uint32_t content;
    bool is_lock;
};

static struct storage_fake *fake_of(struct storage *storage)
{
    return (struct storage_fake *)storage;
}

/* ---- names and contents ---- */

static uint32_t find_name(const struct storage_fake *fake, const char *path)
{
    for (uint32_t i = 0; i < fake->name_count; i++) {
        if (strcmp(fake->names[i].path, path) == 0) {
            return i;
        }
    }
    return NOTHING;
}

static uint32_t make_name(struct storage_fake *fake, const char *path)
{
    uint32_t found = find_name(fake, path);
    if (found != NOTHING) {
        return found;
    }
    fake->names = realloc(fake->names, (fake->name_count + 1) * sizeof(*fake->names));
    assert(fake->names);
    fake->names[fake->name_count] = (struct name){
        .path = strdup(path), .cached = NOTHING, .durable = NOTHING, .partner = NOTHING};
    return fake->name_count++;
}

static uint32_t make_content(struct storage_fake *fake)
{
    fake->contents = realloc(fake->contents, (fake->content_count + 1) * sizeof(*fake->contents));
    assert(fake->contents);
    fake->contents[fake->content_count] = (struct fake_content){0};
    return fake->content_count++;
}

/* ---- the crash ---- */

static void settle_name(struct name *name, bool is_kept)
{
    name->durable = is_kept ? name->cached : name->durable;
    name->cached = name->durable;
}

static void lose_power(struct storage_fake *fake, uint64_t seed)
{
    struct random random = {seed};
    for (uint32_t i = 0; i < fake->content_count; i++) {
        fake_content_lose_power(&fake->contents[i], &random);
    }
    for (uint32_t i = 0; i < fake->name_count; i++) {
        struct name *name = &fake->names[i];
        if (name->cached != name->durable) {
            bool is_kept = random_next(&random) % 2 == 0;
            settle_name(name, is_kept);
            if (name->partner != NOTHING) {
                settle_name(&fake->names[name->partner], is_kept);
            }
        }
        name->partner = NOTHING;
    }
}

static void free_unnamed(struct storage_fake *fake)
{
    for (uint32_t i = 0; i < fake->content_count; i++) {
        bool is_named = false;
        for (uint32_t j = 0; j < fake->name_count; j++) {
            is_named = is_named || fake->names[j].cached == i || fake->names[j].durable == i;
        }
        if (!is_named) {
            fake_content_release(&fake->contents[i]);
        }
    }
}

void storage_fake_crash(struct storage_fake *fake, enum storage_crash crash, uint64_t seed)
{
    fake->generation++;
    fake->is_down = false;
    fake->fault_call = 0;
    for (uint32_t i = 0; i < fake->name_count; i++) {
        fake->names[i].is_locked = false;
    }
    if (crash == STORAGE_POWER) {
        lose_power(fake, seed);
    }
    free_unnamed(fake);
}

/* ---- calls ---- */

static enum status down(const char *path, struct error *error)
{
    return error_set(error, STATUS_FATAL, "%s: the process has crashed", path);
}

/* What becomes of a call: goes through, is done by half, or fails without effect. */
struct outcome {
    enum status before; /* Not OK: return it at once. */
    enum status after;  /* To return when the call has taken effect. */
    bool is_half;
};

static struct outcome enter(struct storage_fake *fake, enum storage_call call, const char *path,
                            struct error *error)
{
    if (fake->is_down) {
        return (struct outcome){.before = down(path, error)};
    }
    if (fake->hook) {
        fake->hook(fake->hook_context, call, path);
    }
    fake->calls[call]++;
    if (++fake->call_count != fake->fault_call) {
        return (struct outcome){0};
    }
    fake->fault_call = 0;
    bool is_half = call == STORAGE_WRITE &&
                   (fake->fault == STORAGE_FAIL || fake->fault == STORAGE_CRASH_DURING);
    enum status status = STATUS_FATAL;
    if (fake->fault == STORAGE_FAIL) {
        status = error_set(error, STATUS_FATAL, "%s: cannot %s: Input/output error", path,
                           storage_call_names[call]);
    } else {
        fake->is_down = true;
        status = down(path, error);
    }
    return is_half || fake->fault == STORAGE_CRASH_AFTER
               ? (struct outcome){.after = status, .is_half = is_half}
               : (struct outcome){.before = status};
}

static struct fake_file *file_of(struct storage_file *file, enum storage_call call,
                                 struct outcome *ret_outcome, struct error *error)
{
    struct fake_file *self = (struct fake_file *)file;
    const char *path = self->fake->names[self->name].path;
    if (self->generation != self->fake->generation) {
        ret_outcome->before = error_set(error, STATUS_FATAL, "%s: opened before the crash", path);
        return self;
    }
    *ret_outcome = enter(self->fake, call, path, error);
    return self;
}

static const struct storage_ops fake_ops;

static struct storage_file *make_handle(struct storage_fake *fake, uint32_t name)
{
    if (fake->names[name].cached == NOTHING) {
        uint32_t content = make_content(fake);
        fake->names[name].cached = content;
    }
    struct fake_file *file = calloc(1, sizeof(*file));
    assert(file);
    *file = (struct fake_file){.file.ops = &fake_ops,
                               .fake = fake,
                               .generation = fake->generation,
                               .name = name,
                               .content = fake->names[name].cached};
    return &file->file;
}

static enum status fake_open(struct storage *storage, const char *path,
                             struct storage_file **ret_file, struct error *error)
{
    struct storage_fake *fake = fake_of(storage);
    struct outcome outcome = enter(fake, STORAGE_OPEN, path, error);
    if (outcome.before != STATUS_OK) {
        return outcome.before;
    }
    uint32_t name = make_name(fake, path);
    struct storage_file *file = make_handle(fake, name);
    if (outcome.after != STATUS_OK) {
        file->ops->close(file);
        return outcome.after;
    }
    *ret_file = file;
    return STATUS_OK;
}

static void fake_close(struct storage_file *file)
{
    struct fake_file *self = (struct fake_file *)file;
    if (self) {
        if (self->is_lock && self->generation == self->fake->generation) {
            self->fake->names[self->name].is_locked = false;
        }
        free(self);
    }
}

static enum status fake_size(struct storage_file *file, uint64_t *ret_bytes, struct error *error)
{
    struct outcome outcome = {0};
    struct fake_file *self = file_of(file, STORAGE_SIZE, &outcome, error);
    if (outcome.before == STATUS_OK && outcome.after == STATUS_OK) {
        *ret_bytes = self->fake->contents[self->content].cached.length;
    }
    return outcome.before != STATUS_OK ? outcome.before : outcome.after;
}

static enum status fake_read_at(struct storage_file *file, uint64_t offset, void *bytes,
                                uint64_t length, uint64_t *ret_read, struct error *error)
{
    struct outcome outcome = {0};
    struct fake_file *self = file_of(file, STORAGE_READ, &outcome, error);
    if (outcome.before != STATUS_OK) {
        return outcome.before;
    }
    const struct byte_buffer *cached = &self->fake->contents[self->content].cached;
    uint64_t there = offset < cached->length ? cached->length - offset : 0;
    there = there < length ? there : length;
    if (there > 0) {
        memcpy(bytes, cached->bytes + offset, (size_t)there);
    }
    *ret_read = there;
    return outcome.after;
}

static uint64_t used_bytes(const struct storage_fake *fake)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < fake->name_count; i++) {
        if (fake->names[i].cached != NOTHING) {
            bytes += fake->contents[fake->names[i].cached].cached.length;
        }
    }
    return bytes;
}

static enum status fake_write_at(struct storage_file *file, uint64_t offset, const void *bytes,
                                 uint64_t length, struct error *error)
{
    struct outcome outcome = {0};
    struct fake_file *self = file_of(file, STORAGE_WRITE, &outcome, error);
    if (outcome.before != STATUS_OK) {
        return outcome.before;
    }
    struct storage_fake *fake = self->fake;
    struct fake_content *content = &fake->contents[self->content];
    uint64_t end = offset + length;
    uint64_t growth = end > content->cached.length ? end - content->cached.length : 0;
    if (fake->capacity != UINT64_MAX && growth > 0 && used_bytes(fake) + growth > fake->capacity) {
        outcome.is_half = true;
        outcome.after =
            error_set(error, STATUS_FATAL, "%s: cannot be written: No space left on device",
                      fake->names[self->name].path);
    }
    uint64_t written = outcome.is_half ? length / 2 : length;
    fake_content_write(content, offset, bytes, written);
    return outcome.after;
}

static enum status fake_truncate(struct storage_file *file, uint64_t bytes, struct error *error)
{
    struct outcome outcome = {0};
    struct fake_file *self = file_of(file, STORAGE_TRUNCATE, &outcome, error);
    if (outcome.before != STATUS_OK) {
        return outcome.before;
    }
    if (!self->fake->is_cut_ignored) {
        fake_content_cut(&self->fake->contents[self->content], bytes);
    }
    return outcome.after;
}

static enum status fake_sync(struct storage_file *file, struct error *error)
{
    struct outcome outcome = {0};
    struct fake_file *self = file_of(file, STORAGE_SYNC, &outcome, error);
    if (outcome.before != STATUS_OK) {
        return outcome.before;
    }
    if (!self->fake->is_sync_ignored) {
        fake_content_sync(&self->fake->contents[self->content]);
    }
    return outcome.after;
}

/* The name in the folder, or NULL for a path that is not directly in it. */
static const char *name_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    bool is_below = strncmp(path, folder, length) == 0 && path[length] == '/';
    return is_below && !strchr(path + length + 1, '/') ? path + length + 1 : NULL;
}

static enum status fake_sync_directory(struct storage *storage, const char *path,
                                       struct error *error)
{
    struct storage_fake *fake = fake_of(storage);
    struct outcome outcome = enter(fake, STORAGE_SYNC_DIRECTORY, path, error);
    if (outcome.before != STATUS_OK) {
        return outcome.before;
    }
    for (uint32_t i = 0; i < fake->name_count && !fake->is_sync_ignored; i++) {
        if (name_in(fake->names[i].path, path)) {
            fake->names[i].durable = fake->names[i].cached;
            fake->names[i].partner = NOTHING;
        }
    }
    return outcome.after;
}

static enum status fake_remove(struct storage *storage, const char *path, struct error *error)
{
    struct storage_fake *fake = fake_of(storage);
    struct outcome outcome = enter(fake, STORAGE_REMOVE, path, error);
    if (outcome.before != STATUS_OK) {
        return outcome.before;
    }
    uint32_t name = find_name(fake, path);
    if (name != NOTHING) {
        fake->names[name].cached = NOTHING;
    }
    return outcome.after;
}

static enum status fake_rename(struct storage *storage, const char *from, const char *to,
                               struct error *error)
{
    struct storage_fake *fake = fake_of(storage);
    struct outcome outcome = enter(fake, STORAGE_RENAME, to, error);
    if (outcome.before != STATUS_OK) {
        return outcome.before;
    }
    uint32_t source = find_name(fake, from);
    if (source == NOTHING || fake->names[source].cached == NOTHING) {
        return error_set(error, STATUS_FATAL, "%s: cannot be renamed: No such file", from);
    }
    uint32_t target = make_name(fake, to);
    fake->names[target].cached = fake->names[source].cached;
    fake->names[source].cached = NOTHING;
    fake->names[target].partner = source;
    fake->names[source].partner = target;
    return outcome.after;
}

static enum status fake_list(struct storage *storage, const char *path,
                             void (*visit)(void *context, const char *name), void *context,
                             struct error *error)
{
    struct storage_fake *fake = fake_of(storage);
    struct outcome outcome = enter(fake, STORAGE_LIST, path, error);
    if (outcome.before != STATUS_OK) {
        return outcome.before;
    }
    /* Backwards, since nobody may rely on an order. */
    for (uint32_t i = fake->name_count; i > 0; i--) {
        const struct name *name = &fake->names[i - 1];
        const char *own = name->cached != NOTHING ? name_in(name->path, path) : NULL;
        if (own) {
            visit(context, own);
        }
    }
    return outcome.after;
}

static enum status fake_lock(struct storage *storage, const char *path,
                             struct storage_file **ret_file, struct error *error)
{
    struct storage_fake *fake = fake_of(storage);
    struct outcome outcome = enter(fake, STORAGE_LOCK, path, error);
    if (outcome.before != STATUS_OK || outcome.after != STATUS_OK) {
        return outcome.before != STATUS_OK ? outcome.before : outcome.after;
    }
    uint32_t name = make_name(fake, path);
    if (fake->names[name].is_locked) {
        return error_set(error, STATUS_FATAL, "%s: locked: another process is using it", path);
    }
    struct storage_file *file = make_handle(fake, name);
    ((struct fake_file *)file)->is_lock = true;
    fake->names[name].is_locked = true;
    *ret_file = file;
    return STATUS_OK;
}

static const struct storage_ops fake_ops = {
    .open = fake_open,
    .close = fake_close,
    .size = fake_size,
    .read_at = fake_read_at,
    .write_at = fake_write_at,
    .truncate = fake_truncate,
    .sync = fake_sync,
    .sync_directory = fake_sync_directory,
    .remove = fake_remove,
    .rename = fake_rename,
    .list = fake_list,
    .lock = fake_lock,
};

/* ---- what tests do to it ---- */

struct storage_fake *storage_fake_create(void)
{
    struct storage_fake *fake = calloc(1, sizeof(*fake));
    assert(fake);
    fake->storage.ops = &fake_ops;
    fake->capacity = UINT64_MAX;
    return fake;
}

void storage_fake_destroy(struct storage_fake *fake)
{
    if (!fake) {
        return;
    }
    for (uint32_t i = 0; i < fake->content_count; i++) {
        fake_content_release(&fake->contents[i]);
    }
    for (uint32_t i = 0; i < fake->name_count; i++) {
        free(fake->names[i].path);
    }
    free(fake->contents);
    free(fake->names);
    free(fake);
}

struct storage *storage_fake_storage(struct storage_fake *fake)
{
    return &fake->storage;
}

void storage_fake_fault_at(struct storage_fake *fake, uint64_t nth, enum storage_fault fault)
{
    fake->fault_call = nth > 0 ? fake->call_count + nth : 0;
    fake->fault = fault;
}

bool storage_fake_is_down(const struct storage_fake *fake)
{
    return fake->is_down;
}

void storage_fake_ignore_sync(struct storage_fake *fake, bool is_ignored)
{
    fake->is_sync_ignored = is_ignored;
}

void storage_fake_ignore_cuts(struct storage_fake *fake, bool is_ignored)
{
    fake->is_cut_ignored = is_ignored;
}

void storage_fake_set_capacity(struct storage_fake *fake, uint64_t bytes)
{
    fake->capacity = bytes;
}

uint64_t storage_fake_used(const struct storage_fake *fake)
{
    return used_bytes(fake);
}

uint64_t storage_fake_calls(const struct storage_fake *fake)
{
    return fake->call_count;
}

uint64_t storage_fake_calls_of(const struct storage_fake *fake, enum storage_call call)
{
    return fake->calls[call];
}

void storage_fake_set_hook(struct storage_fake *fake, storage_fake_hook *hook, void *context)
{
    fake->hook = hook;
    fake->hook_context = context;
}

static struct fake_content *content_at(const struct storage_fake *fake, const char *path)
{
    uint32_t name = find_name(fake, path);
    return name == NOTHING || fake->names[name].cached == NOTHING
               ? NULL
               : &fake->contents[fake->names[name].cached];
}

const unsigned char *storage_fake_content(const struct storage_fake *fake, const char *path,
                                          uint64_t *ret_bytes)
{
    static const unsigned char empty[1];
    const struct fake_content *content = content_at(fake, path);
    *ret_bytes = content ? content->cached.length : 0;
    return !content ? NULL : content->cached.bytes ? content->cached.bytes : empty;
}

void storage_fake_damage(struct storage_fake *fake, const char *path, uint64_t offset,
                         const void *bytes, uint64_t length)
{
    struct fake_content *content = content_at(fake, path);
    assert(content);
    fake_content_write(content, offset, bytes, length);
    fake_content_sync(content);
}

void storage_fake_cut(struct storage_fake *fake, const char *path, uint64_t bytes)
{
    struct fake_content *content = content_at(fake, path);
    assert(content);
    fake_content_cut(content, bytes);
    fake_content_sync(content);
}
