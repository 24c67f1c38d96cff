#include "pipeline/run/time_left.h"

#include <math.h>

double time_left_s(struct time_left *self, double share, uint64_t now_ns)
{
    if (!self->has_begun) {
        *self = (struct time_left){.has_begun = true, .first_share = share, .first_ns = now_ns};
    }
    double done = share - self->first_share;
    double spent_s = (double)(now_ns - self->first_ns) / 1e9;
    return done > 0 ? spent_s * (1 - share) / done : NAN;
}
