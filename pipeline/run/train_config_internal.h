/* What the files of train_config share. */
#ifndef PIPELINE_RUN_TRAIN_CONFIG_INTERNAL_H
#define PIPELINE_RUN_TRAIN_CONFIG_INTERNAL_H

#include "pipeline/run/train_config.h"

/* Where section train says `key`; the section where it does not. */
const struct yaml_node *train_config_node(const struct train_config *config, const char *key);

/* STATUS_INVALID: none of `names` [count], which are of `what`, with the nearest of them. */
enum status train_config_unknown_name(const struct train_config *config, const char *key,
                                      const char *what, const char *name, const char *const *names,
                                      size_t count, struct error *error);

/* Fills config.rows. */
MUST_CHECK enum status train_rows_read(struct train_config *config,
                                       const struct train_overrides *overrides,
                                       struct error *error);

/* Fills config.names and config.columns. */
MUST_CHECK enum status train_features_read(struct train_config *config, struct error *error);

/* Fills config.network, where names and columns are filled already. */
MUST_CHECK enum status train_network_read(struct train_config *config, struct error *error);

/* Entries of a table of settings; OPTION(member) is the offset in the file's own struct. */
#define TEXT(key, setting_kind, member, default_text, sentence)                                    \
    {                                                                                              \
        .name = key, .type = setting_kind, .offset = OPTION(member), .fallback = default_text,     \
        .doc = sentence                                                                            \
    }
#define NUMBER(key, setting_kind, member, default_text, least, most, sentence)                     \
    {                                                                                              \
        .name = key, .type = setting_kind, .offset = OPTION(member), .fallback = default_text,     \
        .min = least, .max = most, .doc = sentence                                                 \
    }
#define CHOICE(key, member, default_text, names, sentence)                                         \
    {                                                                                              \
        .name = key, .type = SETTING_CHOICE, .offset = OPTION(member), .fallback = default_text,   \
        .choices = names, .doc = sentence                                                          \
    }

#endif
