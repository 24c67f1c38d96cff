#include "models/model_backend.h"

#include <stddef.h>

const struct model_backend_ops *const model_backends[] = {&backend_lanes, &backend_openblas, NULL};
const char *const model_backend_names[] = {"lanes", "openblas", NULL};
