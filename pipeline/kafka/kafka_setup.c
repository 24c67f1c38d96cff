#include "pipeline/kafka/kafka_setup.h"

#include <stdio.h>
#include <unistd.h>

#define PATH_BYTES 4096

/* The same for a process that starts again on the same machine and state, and for no other. */
static void make_instance(const char *application, const char *state_directory, char *ret_name,
                          size_t bytes)
{
    char host[256] = "";
    char folder[PATH_BYTES] = "";
    (void)gethostname(host, sizeof(host) - 1);
    /* Not resolved: at the first start it need not be there yet. */
    if (state_directory[0] != '/' && !getcwd(folder, sizeof(folder))) {
        folder[0] = '\0';
    }
    uint64_t path = hash64_combine(hash64(text_of(folder)), hash64(text_of(state_directory)));
    uint64_t hash = hash64_combine(hash64(text_of(host)), path);
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
        .hop_mask = config->hop_mask,
        .instance = options->instance ? options->instance : names->instance,
    };
}
