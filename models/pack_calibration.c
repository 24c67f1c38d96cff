#include "models/pack_calibration.h"

#include <math.h>
#include <stdlib.h>

#include "pipeline/base/hash.h"

static enum status read_points(const struct yaml_node *list, struct pack_calibration *calibration,
                               struct error *error)
{
    if (list->kind != YAML_SEQUENCE || list->child_count < 2 ||
        list->child_count > CALIBRATION_POINTS_MAX) {
        return yaml_complain(list, error, "2 to %u points [logit, calibrated logit] expected",
                             CALIBRATION_POINTS_MAX);
    }
    uint32_t count = (uint32_t)list->child_count;
    calibration->margins = calloc(count, sizeof(float));
    calibration->logits = calloc(count, sizeof(float));
    if (!calibration->margins || !calibration->logits) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct yaml_node *point = &list->children[i];
        if (point->kind != YAML_SEQUENCE || point->child_count != 2) {
            return yaml_complain(point, error, "[logit, calibrated logit] expected");
        }
        enum status status = yaml_float(&point->children[0], &calibration->margins[i], error);
        if (status == STATUS_OK) {
            status = yaml_float(&point->children[1], &calibration->logits[i], error);
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (i > 0 && (!(calibration->margins[i] > calibration->margins[i - 1]) ||
                      calibration->logits[i] < calibration->logits[i - 1])) {
            return yaml_complain(point, error, "points in rising order expected");
        }
    }
    if (!(calibration->logits[count - 1] > calibration->logits[0])) {
        return yaml_complain(list, error, "points that rise on the whole expected");
    }
    calibration->point_count = count;
    return STATUS_OK;
}

static enum status read_line(const struct yaml_node *node, struct pack_calibration *calibration,
                             struct error *error)
{
    const struct yaml_node *slope = yaml_find(node, "slope");
    const struct yaml_node *offset = yaml_find(node, "offset");
    enum status status = slope ? yaml_float(slope, &calibration->slope, error) : STATUS_OK;
    if (status == STATUS_OK && offset) {
        status = yaml_float(offset, &calibration->offset, error);
    }
    return status;
}

enum status pack_calibration_read(const struct yaml_node *node,
                                  struct pack_calibration *ret_calibration, struct error *error)
{
    static const char *const keys[] = {"slope", "offset", "points", NULL};
    struct pack_calibration made = {.slope = 1};
    if (yaml_is_null(node)) {
        *ret_calibration = made;
        return STATUS_OK;
    }
    if (node->kind != YAML_MAPPING) {
        return yaml_complain(node, error, "{slope, offset} or {points} expected");
    }
    const struct yaml_node *points = yaml_find(node, "points");
    enum status status = yaml_known_keys(node, keys, error);
    if (status == STATUS_OK && points && node->child_count > 1) {
        status = yaml_complain(points, error, "either points, or slope and offset expected");
    }
    if (status == STATUS_OK) {
        status = points ? read_points(points, &made, error) : read_line(node, &made, error);
    }
    if (status != STATUS_OK) {
        pack_calibration_release(&made);
        return status;
    }
    *ret_calibration = made;
    return STATUS_OK;
}

void pack_calibration_release(struct pack_calibration *calibration)
{
    free(calibration->margins);
    free(calibration->logits);
    *calibration = (struct pack_calibration){0};
}

uint64_t pack_calibration_hash(const struct pack_calibration *calibration, uint64_t hash)
{
    uint32_t bytes = calibration->point_count * (uint32_t)sizeof(float);
    if (bytes > 0) {
        hash = hash64_combine(hash, hash64((struct text){(char *)calibration->margins, bytes}));
        hash = hash64_combine(hash, hash64((struct text){(char *)calibration->logits, bytes}));
    }
    return hash;
}

static float on_line(float x, float x0, float y0, float x1, float y1)
{
    return y0 + (x - x0) * ((y1 - y0) / (x1 - x0));
}

float pack_calibrate_by_points(const struct pack_calibration *calibration, float margin)
{
    const float *x = calibration->margins;
    const float *y = calibration->logits;
    uint32_t last = calibration->point_count - 1;
    if (!(margin > x[0]) || margin >= x[last]) {
        uint32_t end = margin >= x[last] ? last : 0;
        return y[end] + (margin - x[end]) * ((y[last] - y[0]) / (x[last] - x[0]));
    }
    uint32_t low = 0;
    uint32_t high = last;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        *(x[middle] <= margin ? &low : &high) = middle;
    }
    return on_line(margin, x[low], y[low], x[high], y[high]);
}

/* Points bend the way from base to margin; the terms share the straight line between the two. */
void pack_calibrate_terms(const struct pack_calibration *calibration, float margin, float base,
                          float *ret_factor, float *ret_base)
{
    if (calibration->point_count == 0) {
        *ret_factor = calibration->slope;
        *ret_base = calibration->slope * base + calibration->offset;
        return;
    }
    float from = pack_calibrate(calibration, base);
    float to = pack_calibrate(calibration, margin);
    float distance = margin - base;
    bool is_apart = fabsf(distance) > 1e-4f;
    *ret_factor = is_apart ? (to - from) / distance : 1.0f;
    *ret_base = is_apart ? from : to - distance;
}
