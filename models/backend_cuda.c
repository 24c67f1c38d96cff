#include "models/backend_cuda.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "models/backend_cuda_internal.h"
#include "models/pack_kind.h"

#define FILE_NAME "libnudge_cuda.so"

/* One device a process; constant once threads run, but for the counts. */
static struct {
    const struct cuda_plugin *plugin;
    char device[CUDA_MESSAGE_BYTES];
    bool is_required;
    uint32_t rows_min;
    _Atomic uint64_t rows, failures;
    pthread_mutex_t lock; /* Of what follows. */
    char failure[CUDA_MESSAGE_BYTES];
} cuda = {.is_required = true, .rows_min = 1, .lock = PTHREAD_MUTEX_INITIALIZER};

const struct cuda_plugin *backend_cuda_plugin(void)
{
    return cuda.plugin;
}

uint32_t backend_cuda_rows_min(void)
{
    return cuda.rows_min;
}

bool backend_cuda_is_required(void)
{
    return cuda.is_required;
}

void backend_cuda_configure(bool is_required, uint32_t rows_min)
{
    cuda.is_required = is_required;
    cuda.rows_min = rows_min;
}

void backend_cuda_count_rows(uint32_t rows)
{
    atomic_fetch_add_explicit(&cuda.rows, rows, memory_order_relaxed);
}

void backend_cuda_count_failure(const char *message)
{
    atomic_fetch_add_explicit(&cuda.failures, 1, memory_order_relaxed);
    (void)pthread_mutex_lock(&cuda.lock);
    (void)snprintf(cuda.failure, sizeof(cuda.failure), "%s", message);
    (void)pthread_mutex_unlock(&cuda.lock);
}

void backend_cuda_facts(struct cuda_facts *ret_facts)
{
    *ret_facts = (struct cuda_facts){
        .device = cuda.plugin ? cuda.device : NULL,
        .rows = atomic_load_explicit(&cuda.rows, memory_order_relaxed),
        .failures = atomic_load_explicit(&cuda.failures, memory_order_relaxed),
    };
    (void)pthread_mutex_lock(&cuda.lock);
    (void)snprintf(ret_facts->failure, sizeof(ret_facts->failure), "%s", cuda.failure);
    (void)pthread_mutex_unlock(&cuda.lock);
}

enum status backend_cuda_use(const struct cuda_plugin *plugin, struct error *error)
{
    cuda.plugin = NULL;
    cuda.failure[0] = '\0';
    atomic_store(&cuda.rows, 0);
    atomic_store(&cuda.failures, 0);
    if (!plugin) {
        return STATUS_OK;
    }
    if (plugin->version != CUDA_PLUGIN_VERSION) {
        return error_set(error, STATUS_INVALID, "the plug-in has version %u, %u expected",
                         plugin->version, CUDA_PLUGIN_VERSION);
    }
    char message[CUDA_MESSAGE_BYTES] = "";
    if (plugin->open(cuda.device, sizeof(cuda.device), message, sizeof(message)) != 0) {
        return error_set(error, STATUS_INVALID, "%s", message);
    }
    cuda.plugin = plugin;
    return STATUS_OK;
}

/* The path of the file beside the program; false: not known. */
static bool path_beside(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - sizeof(FILE_NAME));
    if (length <= 0) {
        return false;
    }
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash) {
        return false;
    }
    memcpy(slash + 1, FILE_NAME, sizeof(FILE_NAME));
    return access(path, R_OK) == 0;
}

enum status backend_cuda_open(const char *path, struct error *error)
{
    if (cuda.plugin) {
        return STATUS_OK;
    }
    char beside[4096];
    const char *file = path ? path : path_beside(beside, sizeof(beside)) ? beside : FILE_NAME;
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        return error_set(error, STATUS_INVALID, "%s", dlerror()); /* Names the file. */
    }
    /* POSIX has dlsym() return functions as data. */
    cuda_plugin_function *function;
    void *symbol = dlsym(library, CUDA_PLUGIN_SYMBOL);
    memcpy(&function, &symbol, sizeof(function));
    enum status status = function
                             ? backend_cuda_use(function(), error)
                             : error_set(error, STATUS_INVALID, "it has no " CUDA_PLUGIN_SYMBOL);
    if (status != STATUS_OK) {
        (void)dlclose(library);
        return error_prefix(error, status, "%s", file);
    }
    return STATUS_OK;
}

static const char *profile(void)
{
    return backend_lanes.profile();
}

static const struct model_loader loaders[] = {
    {&pack_kind_trees, backend_cuda_load_trees},
    {&pack_kind_mlp, backend_cuda_load_network},
    {&pack_kind_gru, backend_cuda_load_network},
    {&pack_kind_lstm, backend_cuda_load_network},
    {NULL, NULL},
};

const struct model_backend_ops backend_cuda = {
    .name = "cuda",
    .loaders = loaders,
    .profile = profile,
};
