/* How the values that a setting may take are put into words, for messages and documentation. */
#ifndef PIPELINE_CONFIG_SETTINGS_FORMAT_H
#define PIPELINE_CONFIG_SETTINGS_FORMAT_H

#include "pipeline/config/settings.h"

#define SETTING_TEXT_BYTES 320u

struct setting_range {
    bool has_min, has_max;
    double min, max;
};

struct setting_range setting_range(const struct setting *setting);

/* "at least 1s", "1 to 64", "one of a, b"; empty where everything goes. */
void setting_format_range(const struct setting *setting, char ret_text[SETTING_TEXT_BYTES]);

#endif
