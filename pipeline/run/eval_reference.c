#include "pipeline/run/eval_reference.h"

#include <stdlib.h>
#include <string.h>

#include "models/model_backend.h"
#include "models/score_table.h"
#include "models/time_split.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/iso_time.h"

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "eval: out of memory");
}

static enum status keep_chances(float *chances, uint32_t count,
                                struct eval_reference_model *reference, struct error *error)
{
    if (!chances) {
        return out_of_memory(error);
    }
    for (uint32_t i = 0; i < count; i++) {
        chances[i] = fixed_sigmoidf(chances[i]);
    }
    reference->chances = chances;
    return STATUS_OK;
}

/* The rows that `nudge train` would take, none of them at or after `measured_ms`. */
static enum status make_rows(const struct train_config *config, int64_t measured_ms,
                             struct row_table *ret_table, struct error *error)
{
    struct row_options rows = config->rows;
    rows.until_ms = rows.until_ms < measured_ms ? rows.until_ms : measured_ms;
    rows.keeps_all = false;
    rows.slices = NULL;
    if (measured_ms == INT64_MIN) {
        return error_set(error, STATUS_INVALID,
                         "the measured rows begin with the input, so there are none before them to "
                         "fit it to; see until, --after and --reference");
    }
    struct row_counts counts;
    enum status status = train_config_rows(config, &rows, ret_table, &counts, error);
    if (status == STATUS_OK && ret_table->count == 0) {
        char until[ISO_TIME_BYTES_MAX + 1];
        until[iso_time_format(rows.until_ms, until)] = '\0';
        status = error_set(error, STATUS_INVALID,
                           "the input has no row before %s to fit it to; see --reference", until);
    }
    return status;
}

static void describe(const struct row_table *table, const uint8_t *parts,
                     const struct logistic_fit *fit, struct eval_reference_model *reference)
{
    bool is_first = true;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct table_row *row = &table->rows[i];
        if (parts[i] == SPLIT_LEFT_OUT) {
            continue;
        }
        if (is_first || row->time_ms < reference->first_ms) {
            reference->first_ms = row->time_ms;
        }
        if (is_first || row->time_ms > reference->last_ms) {
            reference->last_ms = row->time_ms;
        }
        reference->positive_count += row->label;
        is_first = false;
    }
    reference->feature_count = fit->feature_count;
    reference->fit_rows = fit->fit_rows;
    reference->held_rows = fit->held_rows;
    reference->l2 = fit->l2;
    reference->is_calibrated = fit->is_calibrated;
}

static enum status fit_rows(const struct train_config *config, const uint32_t *columns,
                            uint32_t column_count, const struct row_table *table,
                            struct eval_reference_model *reference, struct logistic_fit *ret_fit,
                            struct error *error)
{
    uint8_t *parts = calloc((size_t)table->count + 1, 1);
    uint32_t *chosen = calloc((size_t)column_count + 1, sizeof(*chosen));
    int64_t held_from_ms;
    struct train_options options = train_config_fit_options(config);
    enum status status = parts && chosen
                             ? time_split(table, config->settings.held_share,
                                          config->settings.held_gap_ms, parts, &held_from_ms, error)
                             : out_of_memory(error);
    options.columns = chosen;
    options.column_count = 0;
    for (uint32_t i = 0; status == STATUS_OK && i < column_count; i++) {
        if (!train_config_is_id(config, columns[i])) {
            chosen[options.column_count++] = columns[i];
        }
    }
    if (status == STATUS_OK) {
        status = train_logistic(table, parts, &options, ret_fit, error);
    }
    if (status == STATUS_OK) {
        describe(table, parts, ret_fit, reference);
    }
    free(parts);
    free(chosen);
    return status;
}

static enum status fit_and_score(const struct train_config *config, int64_t measured_ms,
                                 const uint32_t *columns, uint32_t column_count,
                                 const struct row_table *table,
                                 struct eval_reference_model *reference, struct error *error)
{
    struct row_table training = {0};
    struct logistic_fit fit = {0};
    enum status status = make_rows(config, measured_ms, &training, error);
    if (status == STATUS_OK) {
        status = fit_rows(config, columns, column_count, &training, reference, &fit, error);
    }
    row_table_release(&training);
    if (status != STATUS_OK) {
        return status;
    }
    float *chances = calloc((size_t)table->count + 1, sizeof(float));
    for (uint32_t i = 0; chances && i < table->count; i++) {
        chances[i] = logistic_fit_logit(&fit, row_table_features(table, i));
    }
    logistic_fit_release(&fit);
    return keep_chances(chances, table->count, reference, error);
}

enum status eval_reference_fit(const struct train_config *config, int64_t measured_ms,
                               const uint32_t *columns, uint32_t column_count,
                               const struct row_table *table,
                               struct eval_reference_model *ret_reference, struct error *error)
{
    struct error why;
    enum status status =
        fit_and_score(config, measured_ms, columns, column_count, table, ret_reference, &why);
    if (status == STATUS_INVALID) { /* No reason to give up the evaluation. */
        ret_reference->why_not = why;
        return STATUS_OK;
    }
    return status == STATUS_OK ? STATUS_OK : error_set(error, status, "%s", why.message);
}

static enum status score_pack(const struct train_config *config, const struct model_pack *pack,
                              const struct row_table *table, struct eval_reference_model *reference,
                              struct error *error)
{
    uint32_t columns[PACK_FEATURES_MAX];
    struct model *model;
    enum status status = model_pack_match(pack, config->names, config->name_count, columns, error);
    if (status == STATUS_OK && pack->output != PACK_OUTPUT_CHANCE) {
        status = error_set(error, STATUS_INVALID,
                           "--reference %s: it predicts a value; a chance expected", pack->name);
    }
    if (status == STATUS_OK) {
        status = model_load(&backend_lanes, pack, columns, config->name_count, &model, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (model->state_bytes > 0) {
        model_unload(model);
        return error_set(error, STATUS_INVALID,
                         "--reference %s: it is stepped along sessions; a model of single rows "
                         "expected",
                         pack->name);
    }
    float *logits = calloc((size_t)table->count + 1, sizeof(float));
    status = logits ? score_table(model, table, NULL, logits, error) : out_of_memory(error);
    model_unload(model);
    if (status != STATUS_OK) {
        free(logits);
        return status;
    }
    return keep_chances(logits, table->count, reference, error);
}

enum status eval_reference_load(const struct train_config *config, const char *folder,
                                const struct row_table *table,
                                struct eval_reference_model *ret_reference, struct error *error)
{
    struct model_pack *pack = NULL;
    enum status status = model_pack_load(folder, &pack, error);
    if (status == STATUS_OK) {
        status = score_pack(config, pack, table, ret_reference, error);
    }
    if (status == STATUS_OK) {
        ret_reference->pack = strdup(pack->label);
        status = ret_reference->pack ? STATUS_OK : out_of_memory(error);
    }
    model_pack_unload(pack);
    return status;
}

void eval_reference_release(struct eval_reference_model *reference)
{
    free(reference->chances);
    free(reference->pack);
    *reference = (struct eval_reference_model){0};
}
