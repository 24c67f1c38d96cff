#include "pipeline/run/eval_prepare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "models/model_pack.h"
#include "pipeline/base/iso_time.h"
#include "pipeline/base/number_text.h"

/* Minutes that the features' clock is ahead of UTC; checked when the pipeline was loaded. */
static int64_t utc_offset_minutes(const struct train_config *config)
{
    int64_t minutes = 0;
    const struct yaml_node *root =
        config->config.document ? yaml_root(config->config.document) : NULL;
    const struct yaml_node *node =
        yaml_find(yaml_find(root, "extract_features"), "utc_offset_minutes");
    return node && yaml_integer(node, &minutes, NULL) == STATUS_OK ? minutes : 0;
}

static enum status choose_threshold(const struct train_config *config, const char *text,
                                    const struct model_pack *pack, struct eval_slices *slices,
                                    struct error *error)
{
    double value = pack ? (double)pack->threshold : 0.5;
    value = config->has_threshold ? config->eval.threshold : value;
    if (text) {
        value = number_text_read_double(text, strlen(text));
        if (!(value >= 0 && value <= 1)) {
            return error_set(error, STATUS_INVALID,
                             "--threshold: \"%s\": a number from 0 to 1 expected", text);
        }
    }
    slices->options.threshold = (float)value;
    slices->is_packs_threshold = pack && !text && !config->has_threshold;
    return STATUS_OK;
}

static enum status choose_attribute(const struct train_config *config, const char *by_flag,
                                    struct row_slices *words, struct eval_slices *slices,
                                    struct error *error)
{
    slices->attribute = by_flag ? by_flag : config->eval.attribute;
    if (!slices->attribute) {
        return STATUS_OK;
    }
    struct error why;
    enum status status =
        row_slices_choose(words, slices->attribute, config->settings.target != TARGET_TABLE,
                          config->names, config->name_count, &why);
    if (status != STATUS_OK && by_flag) {
        return error_set(error, status, "--attribute: %s", why.message);
    }
    const struct yaml_node *section = yaml_find(yaml_root(config->document), eval_section.name);
    return status == STATUS_OK
               ? STATUS_OK
               : yaml_complain(yaml_find(section, "attribute"), error, "%s", why.message);
}

enum status eval_prepare_slices(const struct train_config *config,
                                const struct eval_overrides *overrides,
                                const struct model_pack *pack, uint32_t replicates,
                                struct row_slices *words, struct eval_slices *slices,
                                struct error *error)
{
    bool has_events = config->settings.target != TARGET_TABLE;
    slices->options.replicates = replicates;
    slices->options.seed = (uint64_t)config->settings.seed;
    words->visitor_column =
        has_events ? feature_index(stage_plan_features(config->config.plan), "rfm_return_s") : -1;
    words->utc_offset_ms = utc_offset_minutes(config) * 60000;
    enum status status = choose_threshold(config, overrides->threshold, pack, slices, error);
    return status == STATUS_OK
               ? choose_attribute(config, overrides->attribute, words, slices, error)
               : status;
}

/* A comma and the word as a cell of CSV (RFC 4180), nothing where it is missing. */
static void write_cell(const struct row_slices *slices, enum slice_dimension dimension,
                       uint16_t code, FILE *out)
{
    const char *word = code == SLICE_MISSING ? "" : row_slices_word(slices, dimension, code);
    bool is_quoted = strpbrk(word, ",\"") != NULL;
    (void)fputs(is_quoted ? ",\"" : ",", out);
    for (; *word; word++) {
        (void)fprintf(out, *word == '"' ? "\"\"" : "%c", *word);
    }
    (void)fputs(is_quoted ? "\"" : "", out);
}

enum status eval_write_scores(const struct row_table *table, const float *chances,
                              const struct row_slices *words, bool has_attribute,
                              const float *reference, const char *path, struct error *error)
{
    FILE *out = fopen(path, "wb");
    if (!out) {
        return error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
    }
    int dimensions = has_attribute ? SLICE_DIMENSION_COUNT : SLICE_ATTRIBUTE;
    (void)fprintf(out, "time,label,chance");
    for (int d = 0; d < dimensions; d++) {
        (void)fprintf(out, ",%s", slice_dimension_names[d]);
    }
    (void)fprintf(out, reference ? ",reference\n" : "\n");
    for (uint32_t i = 0; i < table->count; i++) {
        char time[ISO_TIME_BYTES_MAX + 1];
        time[iso_time_format(table->rows[i].time_ms, time)] = '\0';
        (void)fprintf(out, "%s,%d,%.9g", time, table->rows[i].label, (double)chances[i]);
        for (int d = 0; d < dimensions; d++) {
            write_cell(words, (enum slice_dimension)d, table->rows[i].slice[d], out);
        }
        if (reference) {
            (void)fprintf(out, ",%.9g", (double)reference[i]);
        }
        (void)fprintf(out, "\n");
    }
    bool has_failed = ferror(out) != 0;
    return fclose(out) == 0 && !has_failed
               ? STATUS_OK
               : error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
}
