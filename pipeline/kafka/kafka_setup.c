#include "pipeline/kafka/kafka_setup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The same for a process that starts again on the same machine and state, and for no other. */
static void make_instance(const char *application, const char *state_directory, char *ret_name,
                          size_t bytes)
{
    char host[256] = "";
    char path[PATH_MAX] = "";
    (void)gethostname(host, sizeof(host) - 1);
    if (!realpath(state_directory, path)) {
        (void)snprintf(path, sizeof(path), "%s", state_directory);
    }
    uint64_t hash = hash64_combine(hash64(text_of(host)), hash64(text_of(path)));
    (void)snprintf(ret_name, bytes, "%.32s-%016llx", application, (unsigned long long)hash);
}

void kafka_setup_make(const struct config *config, const char *state_directory,
                      struct kafka_names *names)
{
    const struct kafka_options *options = &config->kafka;
    make_instance(config->name, state_directory, names->instance, sizeof(names->instance));
    names->setup = (struct kafka_setup){
        .options = options,
        .application = config->name,
        .group = options->group ? options->group : config->name,
        .instance = options->instance ? options->instance : names->instance,
    };
}
