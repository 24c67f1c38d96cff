/* The settings of the pipeline's own sections, as tables; those of the stages are with the stages.
 */
#ifndef PIPELINE_RUN_CONFIG_SETTINGS_H
#define PIPELINE_RUN_CONFIG_SETTINGS_H

#include "pipeline/run/config.h"

struct config_section {
    const struct setting_section *section;
    size_t offset; /* Of its options in struct config. */
};

#define CONFIG_OWN_SECTIONS 9
extern const struct config_section config_own_sections[CONFIG_OWN_SECTIONS];

extern const char *const input_format_names[]; /* By enum input_format; NULL ends it. */
extern const char *const input_source_names[]; /* By enum input_source; NULL ends it. */

#endif
