#define _GNU_SOURCE /* renameat2. NOLINT(bugprone-reserved-identifier) */
#include "models/pack_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/tensor_file.h"
#include "pipeline/config/yaml.h"

#define PATH_BYTES 4096

static enum status complain(const char *path, struct error *error)
{
    return error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
}

static void print_metrics(FILE *out, const struct pack_content *content)
{
    (void)fprintf(out, "metrics:\n");
    for (uint32_t i = 0; i < content->metric_count; i++) {
        (void)fprintf(out, "  %s: %.9g\n", content->metrics[i].name, content->metrics[i].value);
    }
}

static void print_calibration(FILE *out, const struct pack_calibration *calibration)
{
    if (calibration->point_count == 0) {
        (void)fprintf(out, "calibration: {slope: %.9g, offset: %.9g}\n", (double)calibration->slope,
                      (double)calibration->offset);
        return;
    }
    (void)fprintf(out, "calibration:\n  points:\n");
    for (uint32_t i = 0; i < calibration->point_count; i++) {
        (void)fprintf(out, "    - [%.9g, %.9g]\n", (double)calibration->margins[i],
                      (double)calibration->logits[i]);
    }
}

static void print_features(FILE *out, const struct pack_content *content)
{
    (void)fprintf(out, "features:\n");
    for (uint32_t i = 0; i < content->feature_count; i++) {
        const struct pack_feature *feature = &content->features[i];
        if (!content->has_scales) {
            (void)fprintf(out, "  - {name: %s}\n", feature->name);
            continue;
        }
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
                                  const struct pack_content *content, struct error *error)
{
    char path[PATH_BYTES + 32];
    (void)snprintf(path, sizeof(path), "%s/manifest.yaml", directory);
    FILE *out = fopen(path, "wb");
    if (!out) {
        return complain(path, error);
    }
    (void)fprintf(out, "format: 1\nkind: %s\n", content->kind);
    yaml_print_text(out, "name", text->name);
    yaml_print_text(out, "version", text->version);
    yaml_print_text(out, "target", text->target);
    yaml_print_text(out, "trained_from", text->trained_from);
    yaml_print_text(out, "trained_to", text->trained_to);
    yaml_print_text(out, "data_hash", text->data_hash);
    yaml_print_text(out, "seed", text->seed);
    (void)fprintf(out, "%s", content->lines);
    print_calibration(out, content->calibration);
    (void)fprintf(out, "threshold: %.9g\n", (double)content->threshold);
    print_metrics(out, content);
    if (*text->training) {
        (void)fprintf(out, "training:\n%s", text->training);
    }
    print_features(out, content);
    bool has_failed = ferror(out) != 0;
    return sync_and_close(out) && !has_failed ? STATUS_OK : complain(path, error);
}

static enum status write_bytes(const char *directory, const struct pack_file *file,
                               struct error *error)
{
    char path[PATH_BYTES + 32];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, file->name);
    FILE *out = fopen(path, "wb");
    if (!out) {
        return complain(path, error);
    }
    bool is_written = fwrite(file->bytes, 1, file->length, out) == file->length;
    return sync_and_close(out) && is_written ? STATUS_OK : complain(path, error);
}

static enum status write_files(const char *directory, const struct pack_text *text,
                               const struct pack_content *content, struct error *error)
{
    enum status status = write_manifest(directory, text, content, error);
    if (status == STATUS_OK && content->tensor_count > 0) {
        char path[PATH_BYTES + 32];
        (void)snprintf(path, sizeof(path), "%s/weights.safetensors", directory);
        status = tensor_file_write(path, content->tensors, content->tensor_count, error);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < content->file_count; i++) {
        status = write_bytes(directory, &content->files[i], error);
    }
    return status;
}

static const char *const pack_files[] = {"manifest.yaml", "weights.safetensors", PACK_MODEL_FILE};
#define PACK_FILES (sizeof(pack_files) / sizeof(pack_files[0]))

static bool is_pack_file(const char *name)
{
    for (size_t i = 0; i < PACK_FILES; i++) {
        if (strcmp(name, pack_files[i]) == 0) {
            return true;
        }
    }
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

enum status pack_write_check(const char *directory, struct error *error)
{
    struct stat found;
    if (stat(directory, &found) != 0) {
        return errno == ENOENT ? STATUS_OK : complain(directory, error);
    }
    if (!S_ISDIR(found.st_mode)) {
        return error_set(error, STATUS_INVALID,
                         "%s: a file stands there; a folder for the pack, or nothing, expected",
                         directory);
    }
    DIR *folder = opendir(directory);
    if (!folder) {
        return complain(directory, error);
    }
    enum status status = STATUS_OK;
    for (struct dirent *entry; status == STATUS_OK && (entry = readdir(folder)) != NULL;) {
        if (!is_pack_file(entry->d_name)) {
            status = error_set(error, STATUS_INVALID,
                               "%s: it holds %s, which is not of a pack; another folder, an empty "
                               "one or a pack to be replaced expected",
                               directory, entry->d_name);
        }
    }
    (void)closedir(folder);
    return status;
}

/* Removes a pack's folder as far as it is one of ours. */
static void remove_pack(const char *directory)
{
    for (size_t i = 0; i < PACK_FILES; i++) {
        char path[PATH_BYTES];
        if (snprintf(path, sizeof(path), "%s/%s", directory, pack_files[i]) < PATH_BYTES) {
            (void)unlink(path);
        }
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

/* Both change places at once where the file system can do that, so that one of them stands there
 * at any time; else for a moment there is none. */
static enum status put_in_place(const char *made, const char *directory, const char *old,
                                struct error *error)
{
    if (rename(made, directory) == 0) { /* There was none, or an empty one. */
        return STATUS_OK;
    }
    if (renameat2(AT_FDCWD, made, AT_FDCWD, directory, RENAME_EXCHANGE) == 0) {
        remove_pack(made);
        return STATUS_OK;
    }
    if (rename(directory, old) != 0) {
        return complain(directory, error);
    }
    if (rename(made, directory) != 0) {
        enum status status = complain(directory, error);
        (void)rename(old, directory);
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

enum status pack_write_content(const char *directory, const struct pack_text *text,
                               const struct pack_content *content, struct error *error)
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
    (void)snprintf(made, sizeof(made), "%.*s.being-written", (int)length, directory);
    (void)snprintf(old, sizeof(old), "%.*s.being-replaced", (int)length, directory);
    enum status status = pack_write_check(directory, error);
    if (status != STATUS_OK) {
        return status;
    }
    make_parents(made);
    remove_pack(made);
    if (mkdir(made, 0777) != 0) {
        return complain(made, error);
    }
    status = write_files(made, text, content, error);
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

uint32_t pack_held_metrics(const struct held_measures *held, struct pack_metric *ret_metrics)
{
    const struct pack_metric metrics[HELD_METRICS] = {
        {"held_base_rate", held->base_rate}, {"held_pr_auc", held->pr_auc},
        {"held_roc_auc", held->roc_auc},     {"held_log_loss", held->log_loss},
        {"held_brier", held->brier},         {"held_calibration_error", held->calibration_error},
    };
    memcpy(ret_metrics, metrics, sizeof(metrics));
    return HELD_METRICS;
}

enum status pack_write(const char *directory, const struct pack_text *text,
                       const struct logistic_fit *fit, const struct pack_quantiles *quantiles,
                       struct error *error)
{
    struct tensor tensors[] = {
        {.name = "weight", .count = fit->feature_count, .data = fit->weights},
        {.name = "missing", .count = fit->feature_count, .data = fit->missing},
        {.name = "bias", .count = 1, .data = &fit->bias},
        {.name = "p50", .count = fit->feature_count, .data = quantiles->p50},
        {.name = "p99", .count = fit->feature_count, .data = quantiles->p99},
        {.name = "p999", .count = fit->feature_count, .data = quantiles->p999},
    };
    for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
        tensors[i].dimension_count = 1;
        tensors[i].shape[0] = tensors[i].count;
    }
    struct pack_metric metrics[4 + HELD_METRICS] = {
        {"fit_rows", fit->fit_rows},
        {"held_rows", fit->held_rows},
        {"l2", fit->l2},
        {"fit_loss", fit->fit_loss},
    };
    struct pack_content content = {
        .kind = "logistic",
        .lines = "",
        .features = fit->features,
        .feature_count = fit->feature_count,
        .has_scales = true,
        .calibration = &fit->calibration,
        .threshold = fit->threshold,
        .metrics = metrics,
        .metric_count = 4 + (fit->is_measured ? pack_held_metrics(&fit->held, metrics + 4) : 0),
        .tensors = tensors,
        .tensor_count = quantiles->p50 ? 6 : 3,
    };
    return pack_write_content(directory, text, &content, error);
}
