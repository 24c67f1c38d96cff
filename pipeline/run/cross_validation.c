#include "pipeline/run/cross_validation.h"

#include <math.h>
#include <stdlib.h>

#include "models/time_split.h"
#include "pipeline/base/iso_time.h"
#include "pipeline/run/fit.h"

#define MEASURES 4
#define FOLDS_MAX 20

struct validation {
    const struct train_config *config;
    const struct row_table *table;
    uint8_t *parts, *is_tested; /* [table.count], as the next one. */
    uint32_t *chosen;
    double measures[FOLDS_MAX][MEASURES];
    uint32_t measured;
};

static void take_measures(const struct held_measures *held, double *ret)
{
    ret[0] = held->pr_auc;
    ret[1] = held->roc_auc;
    ret[2] = held->log_loss;
    ret[3] = held->calibration_error;
}

static void print_measures(const char *name, const double *measures, FILE *out)
{
    (void)fprintf(out, "%-26s %8.4f %8.4f %8.4f %8.4f\n", name, measures[0], measures[1],
                  measures[2], measures[3]);
}

static enum status test_fold(struct validation *self, const struct fit *fit, const char *name,
                             FILE *out, struct error *error)
{
    const struct row_table *table = self->table;
    struct held_out tested;
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        self->parts[i] = self->is_tested[i] ? SPLIT_HELD : SPLIT_LEFT_OUT;
        if (self->is_tested[i]) {
            self->chosen[count++] = i;
        }
    }
    enum status status = held_out_make(table, self->parts, SPLIT_HELD, &tested, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (!held_out_has_both_classes(&tested)) {
        (void)fprintf(out, "%-26s one class only\n", name);
    } else {
        struct held_measures measures;
        status = fit_logits(fit, self->config, table, self->chosen, count, tested.margins, error);
        if (status == STATUS_OK) {
            held_out_apply(&tested, &(struct pack_calibration){.slope = 1});
            status = held_out_measure(&tested, &measures, error);
        }
        if (status == STATUS_OK) {
            take_measures(&measures, self->measures[self->measured]);
            print_measures(name, self->measures[self->measured++], out);
        }
    }
    held_out_release(&tested);
    return status;
}

static enum status run_fold(struct validation *self, uint32_t fold, FILE *out, struct error *error)
{
    const struct train_settings *settings = &self->config->settings;
    int64_t from_ms = 0;
    char name[ISO_TIME_BYTES_MAX + 1];
    enum status status =
        time_fold(self->table, fold, (uint32_t)settings->folds, settings->held_share,
                  settings->held_gap_ms, self->parts, self->is_tested, &from_ms, error);
    if (status != STATUS_OK) {
        return status;
    }
    name[iso_time_format(from_ms, name)] = '\0';
    struct fit fit = {0};
    struct error why;
    status =
        fit_make(self->config, self->table, self->parts, &(struct fit_listener){0}, &fit, &why);
    if (status == STATUS_INVALID) {
        (void)fprintf(out, "%-26s %s\n", name, why.message);
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        return error_set(error, status, "%s", why.message);
    }
    status = test_fold(self, &fit, name, out, error);
    fit_release(&fit);
    return status;
}

static void print_summary(const struct validation *self, FILE *out)
{
    double mean[MEASURES] = {0};
    double spread[MEASURES] = {0};
    for (int m = 0; m < MEASURES; m++) {
        for (uint32_t i = 0; i < self->measured; i++) {
            mean[m] += self->measures[i][m] / self->measured;
        }
        for (uint32_t i = 0; i < self->measured; i++) {
            double distance = self->measures[i][m] - mean[m];
            spread[m] += distance * distance / (self->measured - 1);
        }
        spread[m] = sqrt(spread[m]);
    }
    print_measures("mean", mean, out);
    print_measures("standard deviation", spread, out);
}

enum status cross_validate(const struct train_config *config, const struct row_table *table,
                           FILE *out, struct error *error)
{
    size_t room = (size_t)table->count + 1;
    struct validation self = {.config = config,
                              .table = table,
                              .parts = calloc(room, 1),
                              .is_tested = calloc(room, 1),
                              .chosen = calloc(room, sizeof(uint32_t))};
    enum status status = self.parts && self.is_tested && self.chosen
                             ? STATUS_OK
                             : error_set(error, STATUS_FATAL, "training: out of memory");
    (void)fprintf(out, "%-26s %8s %8s %8s %8s\n", "rows from", "PR-AUC", "ROC-AUC", "log loss",
                  "cal. err");
    for (uint32_t fold = 1; status == STATUS_OK && fold <= (uint32_t)config->settings.folds;
         fold++) {
        status = run_fold(&self, fold, out, error);
    }
    if (status == STATUS_OK && self.measured > 1) {
        print_summary(&self, out);
    }
    free(self.parts);
    free(self.is_tested);
    free(self.chosen);
    return status;
}
