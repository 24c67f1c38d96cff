#include "models/path_scale.h"

#include <assert.h>
#include <stdlib.h>

/* Where more than 99 in a hundred rows are the same, the step is this. */
#define STEP_MIN 0.25f

static int compare(const void *first, const void *second)
{
    float a = *(const float *)first, b = *(const float *)second;
    return (a > b) - (a < b);
}

struct path_scale path_scale_of(float *paths, uint32_t count)
{
    assert(count >= 1);
    qsort(paths, count, sizeof(*paths), compare);
    float median = paths[count / 2], p99 = paths[count / 100];
    float step = median - p99 > STEP_MIN ? median - p99 : STEP_MIN;
    return (struct path_scale){.slope = (PATH_LOGIT_P99 - PATH_LOGIT_MEDIAN) / step,
                               .median = median};
}
