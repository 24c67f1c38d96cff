#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "models/markov_pack.h"
#include "pipeline/config/yaml.h"

#define PATH_BYTES 4096

static enum status complain(const char *path, struct error *error)
{
    return error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
}

/* The events of a row, the oldest first. */
static void print_context(FILE *out, const struct markov *table, uint32_t row,
                          const char *const *states)
{
    if (row < table->state_count) {
        (void)fprintf(out, "  %s: {", states[row]);
        return;
    }
    const struct markov_context *context = &table->contexts[row - table->state_count];
    for (uint32_t i = context->length; i-- > 0;) {
        uint8_t event = context->last[i];
        (void)fprintf(out, "%s%s", i + 1u == context->length ? "  " : " > ",
                      event == MARKOV_START ? "start" : states[event - 1]);
    }
    (void)fprintf(out, ": {");
}

static void print_table(FILE *out, const struct markov *table, const char *const *states)
{
    uint32_t order = 1;
    for (uint32_t k = 0; k < table->context_count; k++) {
        order = table->contexts[k].length > order ? table->contexts[k].length : order;
    }
    if (order > 1) {
        (void)fprintf(out, "order: %u\n", order);
    }
    (void)fprintf(out, "steps:\n");
    for (uint32_t from = 0; from < table->state_count + table->context_count; from++) {
        print_context(out, table, from, states);
        for (uint32_t to = 0; to < table->state_count; to++) {
            if (table->step[from][to] > 0) {
                (void)fprintf(out, "%s: %.17g, ", states[to], table->step[from][to]);
            }
        }
        (void)fprintf(out, "leave: %.17g}\n", table->leave[from]);
    }
}

static bool write_file(const char *path, const struct markov *table, const char *const *states,
                       const struct markov_text *text)
{
    FILE *out = fopen(path, "wb");
    if (!out) {
        return false;
    }
    (void)fprintf(out, "format: 1\nkind: markov\n");
    yaml_print_text(out, "name", text->name);
    yaml_print_text(out, "version", text->version);
    yaml_print_text(out, "trained_from", text->trained_from);
    yaml_print_text(out, "trained_to", text->trained_to);
    yaml_print_text(out, "data_hash", text->data_hash);
    print_table(out, table, states);
    bool is_written = fflush(out) == 0 && ferror(out) == 0 && fsync(fileno(out)) == 0;
    return fclose(out) == 0 && is_written;
}

enum status markov_pack_write(const char *path, const struct markov *table,
                              const char *const *states, const struct markov_text *text,
                              struct error *error)
{
    char made[PATH_BYTES];
    if (snprintf(made, sizeof(made), "%s.new", path) >= PATH_BYTES) {
        return error_set(error, STATUS_INVALID, "%.80s...: path too long", path);
    }
    if (!write_file(made, table, states, text) || rename(made, path) != 0) {
        enum status status = complain(path, error);
        (void)unlink(made);
        return status;
    }
    return STATUS_OK;
}
