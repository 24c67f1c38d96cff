/*
 * What a kind of model adds to the common part of a pack. To add one: a file pair pack_KIND with a
 * const struct pack_kind_ops, and a line in the table of model_pack.c. Used by the kinds alone.
 */
#ifndef MODELS_PACK_KIND_H
#define MODELS_PACK_KIND_H

#include "models/model_backend.h"
#include "models/model_pack.h"
#include "pipeline/config/yaml.h"

enum pack_features_rule {
    PACK_FEATURES_REQUIRED, /* The manifest lists them. */
    PACK_FEATURES_OPTIONAL, /* Where it does not, read() finds them elsewhere. */
    PACK_FEATURES_OWN,      /* It must not: read() always finds them elsewhere. */
};

struct pack_kind_ops {
    const char *name;        /* As in the manifest. */
    const char *const *keys; /* What it adds to the manifest's keys; ends with NULL. */
    enum pack_features_rule features;
    bool scales_features; /* Else a transform, mean, scale or limit is refused. */
    bool needs_tensors;   /* Else the pack may be without weights.safetensors. */
    bool has_members;     /* Is made of other packs, and so none of its own members. */

    /*
     * Called when the common part has been read, but for the quantiles. Sets pack->body, which is
     * unloaded even where the call fails; where it stands for files beside manifest and weights,
     * body_hash; and the features where the manifest has none, by pack_set_features(). Complains
     * with yaml_complain() or with the file's name. `root` lives during the call.
     */
    enum status (*read)(const char *directory, const struct yaml_node *root,
                        struct model_pack *pack, struct error *error);
    void (*unload)(void *body); /* NULL is a no-op. */

    /* The plain implementation on the CPU, see model_backend.h. */
    model_load_function *load;
};

/* All kinds; model_pack.c lists them. */
extern const struct pack_kind_ops pack_kind_logistic;
extern const struct pack_kind_ops pack_kind_trees;
extern const struct pack_kind_ops pack_kind_mean;
extern const struct pack_kind_ops pack_kind_isolation_forest;
extern const struct pack_kind_ops pack_kind_mlp;
extern const struct pack_kind_ops pack_kind_gru;
extern const struct pack_kind_ops pack_kind_lstm;

/*
 * The data of tensor `name`, which must have exactly this shape. NULL where an optional one is not
 * there. STATUS_INVALID names file, tensor and what was expected.
 */
MUST_CHECK enum status pack_tensor(const struct model_pack *pack, const char *directory,
                                   const char *name, bool is_required, uint32_t dimension_count,
                                   const uint64_t *shape, const float **ret_data,
                                   struct error *error);

/* Gives the pack unscaled features of these names, which are copied. For PACK_FEATURES_OPTIONAL. */
MUST_CHECK enum status pack_set_features(struct model_pack *pack, const char *const *names,
                                         uint32_t count, struct error *error);

/* The same as model_pack_load(), for what may be a part of another pack. */
MUST_CHECK enum status pack_load_member(const char *directory, struct model_pack **ret_pack,
                                        struct error *error);

#endif
