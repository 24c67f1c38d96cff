/*
 * What a page about a decision says, whatever it looks like: read from the decision's record and
 * that of the alert or promotion, both as trees. Texts point into the trees or are static.
 */
#ifndef PIPELINE_COMMANDS_EXPLAIN_FACTS_H
#define PIPELINE_COMMANDS_EXPLAIN_FACTS_H

#include <stdbool.h>
#include <stdio.h>

#include "pipeline/config/yaml.h"
#include "pipeline/event/feature_set.h"
#include "pipeline/limits.h"

struct explain_facts {
    const struct yaml_node *decision; /* A record of the topic decisions. */
    const struct yaml_node *emitted;  /* The alert or promotion of the same id, or NULL. */
    const struct feature_set *features;
    bool show_all; /* Missing features, too. */
};

/* NULL or NaN where there is no such scalar or it is null. `node` may be NULL. */
const char *explain_text(const struct yaml_node *node, const char *key);
double explain_number(const struct yaml_node *node, const char *key);

/* What became of the rule, in a sentence. */
void explain_headline(const struct explain_facts *facts, char *buffer, size_t bytes);

/* What the decision goes back to, where it was made later than that; false: at the event itself. */
bool explain_is_timer(const struct explain_facts *facts);

/* Whether `score` is shown as a share of 1: not where a model that predicts a value gave it. */
bool explain_is_share(const struct explain_facts *facts, const char *name, double score);

/* One line of the sum that makes a score. */
struct explain_term {
    const char *name;
    double value, logit; /* value: NaN where there is none. */
    bool is_start;       /* What every score of this kind starts from: no term of this one. */
    const struct feature_info *feature; /* What the term is made of, or NULL. */
};

#define EXPLAIN_TERMS_MAX 16
/* The terms, then where the score starts and all others, as far as known. Returns their number; 0:
 * the score was not explained. `ret_largest` is the largest size of a logit, but for the start. */
uint32_t explain_terms(const struct explain_facts *facts,
                       struct explain_term ret_terms[EXPLAIN_TERMS_MAX], double *ret_largest);

struct explain_feature {
    const struct feature_info *info;
    double value;      /* NaN: missing. */
    const char *group; /* The feature's family, or what all that stand in the terms have. */
};

/*
 * Those in the terms first, in the order of their contribution, then by family. Returns their
 * number; `ret_hidden` is that of missing ones left out. UINT32_MAX: the decision quotes a feature
 * set that this program does not know.
 */
uint32_t explain_features(const struct explain_facts *facts,
                          struct explain_feature ret_features[FEATURES_MAX], uint32_t *ret_hidden);

#endif
