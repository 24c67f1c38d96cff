#include "models/pack_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/tensor_file.h"

#define PATH_BYTES 4096

static enum status complain(const char *path, struct error *error)
{
    return error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
}

/* Between quotes, with quotes and backslashes escaped and control characters left out. */
static void print_text(FILE *out, const char *key, const char *text)
{
    if (!text) {
        return;
    }
    (void)fprintf(out, "%s: \"", key);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            (void)fputc('\\', out);
        }
        if ((unsigned char)*text >= ' ') {
            (void)fputc(*text, out);
        }
    }
    (void)fprintf(out, "\"\n");
}

static void print_metrics(FILE *out, const struct logistic_fit *fit)
{
    (void)fprintf(out, "metrics:\n  fit_rows: %u\n  held_rows: %u\n  l2: %.9g\n  fit_loss: %.9g\n",
                  fit->fit_rows, fit->held_rows, fit->l2, fit->fit_loss);
    if (fit->is_calibrated) {
        (void)fprintf(out,
                      "  held_base_rate: %.6g\n  held_pr_auc: %.6g\n  held_roc_auc: %.6g\n"
                      "  held_log_loss: %.6g\n  held_brier: %.6g\n  held_calibration_error: %.6g\n",
                      fit->held_base_rate, fit->held_pr_auc, fit->held_roc_auc, fit->held_loss,
                      fit->held_brier, fit->held_calibration_error);
    }
}

static void print_features(FILE *out, const struct logistic_fit *fit)
{
    (void)fprintf(out, "features:\n");
    for (uint32_t i = 0; i < fit->feature_count; i++) {
        const struct pack_feature *feature = &fit->features[i];
        (void)fprintf(out, "  - {name: %s, transform: %s, mean: %.9g, scale: %.9g, limit: %.9g}\n",
                      feature->name, feature_transform_names[feature->transform],
                      (double)feature->mean, (double)feature->scale, (double)feature->limit);
    }
}

static bool sync_and_close(FILE *out)
{
    bool is_written = fflush(out) == 0 && fsync(fileno(out)) == 0;
    return fclose(out) == 0 && is_written;
}

static enum status write_manifest(const char *directory, const struct pack_text *text,
                                  const struct logistic_fit *fit, struct error *error)
{
    char path[PATH_BYTES + 32];
    (void)snprintf(path, sizeof(path), "%s/manifest.yaml", directory);
    FILE *out = fopen(path, "wb");
    if (!out) {
        return complain(path, error);
    }
    (void)fprintf(out, "format: 1\nkind: logistic\n");
    print_text(out, "name", text->name);
    print_text(out, "version", text->version);
    print_text(out, "target", text->target);
    print_text(out, "trained_from", text->trained_from);
    print_text(out, "trained_to", text->trained_to);
    print_text(out, "data_hash", text->data_hash);
    print_text(out, "seed", text->seed);
    (void)fprintf(out, "calibration: {slope: %.9g, offset: %.9g}\nthreshold: %.9g\n",
                  (double)fit->slope, (double)fit->offset, (double)fit->threshold);
    print_metrics(out, fit);
    if (*text->training) {
        (void)fprintf(out, "training:\n%s", text->training);
    }
    print_features(out, fit);
    bool has_failed = ferror(out) != 0;
    return sync_and_close(out) && !has_failed ? STATUS_OK : complain(path, error);
}

static enum status write_weights(const char *directory, const struct logistic_fit *fit,
                                 const struct pack_quantiles *quantiles, struct error *error)
{
    char path[PATH_BYTES + 32];
    (void)snprintf(path, sizeof(path), "%s/weights.safetensors", directory);
    struct tensor tensors[] = {
        {.name = "weight", .count = fit->feature_count, .data = fit->weights},
        {.name = "missing", .count = fit->feature_count, .data = fit->missing},
        {.name = "bias", .count = 1, .data = &fit->bias},
        {.name = "p50", .count = fit->feature_count, .data = quantiles->p50},
        {.name = "p99", .count = fit->feature_count, .data = quantiles->p99},
        {.name = "p999", .count = fit->feature_count, .data = quantiles->p999},
    };
    uint32_t count = quantiles->p50 ? 6 : 3;
    for (uint32_t i = 0; i < count; i++) {
        tensors[i].dimension_count = 1;
        tensors[i].shape[0] = tensors[i].count;
    }
    return tensor_file_write(path, tensors, count, error);
}

/* Removes a pack's folder as far as it is one of ours. */
static void remove_pack(const char *directory)
{
    char path[PATH_BYTES];
    if (snprintf(path, sizeof(path), "%s/manifest.yaml", directory) < PATH_BYTES) {
        (void)unlink(path);
    }
    if (snprintf(path, sizeof(path), "%s/weights.safetensors", directory) < PATH_BYTES) {
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

static enum status sync_directory(const char *path, struct error *error)
{
    int file = open(path, O_RDONLY | O_DIRECTORY);
    bool is_synced = file >= 0 && fsync(file) == 0;
    if (file >= 0) {
        (void)close(file);
    }
    return is_synced ? STATUS_OK : complain(path, error);
}

static enum status put_in_place(const char *made, const char *directory, const char *old,
                                struct error *error)
{
    remove_pack(old);
    bool had_one = rename(directory, old) == 0;
    if (!had_one && errno != ENOENT) {
        return complain(directory, error);
    }
    if (rename(made, directory) != 0) {
        enum status status = complain(directory, error);
        if (had_one) {
            (void)rename(old, directory);
        }
        return status;
    }
    remove_pack(old);
    return STATUS_OK;
}

/* Makes the folders that lead to `directory`. */
static void make_parents(const char *directory)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s", directory);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0777); /* What fails here fails again below, with its name. */
        *slash = '/';
    }
}

enum status pack_write(const char *directory, const struct pack_text *text,
                       const struct logistic_fit *fit, const struct pack_quantiles *quantiles,
                       struct error *error)
{
    char made[PATH_BYTES];
    char old[PATH_BYTES];
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/') {
        length--;
    }
    if (length + 64 > PATH_BYTES) {
        return error_set(error, STATUS_INVALID, "%s: path too long", directory);
    }
    (void)snprintf(made, sizeof(made), "%.*s.new", (int)length, directory);
    (void)snprintf(old, sizeof(old), "%.*s.old", (int)length, directory);
    make_parents(made);
    remove_pack(made);
    if (mkdir(made, 0777) != 0) {
        return complain(made, error);
    }
    enum status status = write_manifest(made, text, fit, error);
    if (status == STATUS_OK) {
        status = write_weights(made, fit, quantiles, error);
    }
    if (status == STATUS_OK) {
        status = sync_directory(made, error);
    }
    if (status == STATUS_OK) {
        char target[PATH_BYTES];
        (void)snprintf(target, sizeof(target), "%.*s", (int)length, directory);
        status = put_in_place(made, target, old, error);
    }
    if (status != STATUS_OK) {
        remove_pack(made);
    }
    return status;
}
