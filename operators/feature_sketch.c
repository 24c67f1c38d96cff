#include "operators/feature_sketch.h"

#include "pipeline/base/fixed_math.h"

static void fill(float *estimates, int bit_count)
{
    for (int set = 0; set <= bit_count; set++) {
        double zero = set == bit_count ? 0.5 : (double)(bit_count - set);
        double bits = (double)bit_count;
        estimates[set] = set == 0 ? 0.0f : (float)(-bits * fixed_log(zero / bits));
    }
}

void sketch_table_init(struct sketch_table *table)
{
    fill(table->of32, 32);
    fill(table->of64, 64);
    fill(table->of128, 128);
}
