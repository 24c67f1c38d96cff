#include "models/kernel_network.h"

const char *const activation_names[ACTIVATION_COUNT] = {"none", "relu", "tanh", "sigmoid", "gelu"};

const struct network_kernels *network_kernels_at(uint32_t index)
{
    const struct network_kernels *found[4] = {&network_kernels_plain};
    uint32_t count = 1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        found[count++] = &network_kernels_avx2;
    }
    if (__builtin_cpu_supports("avx512f")) {
        found[count++] = &network_kernels_avx512;
    }
#endif
    return index < count ? found[index] : NULL;
}

const struct network_kernels *network_kernels_choose(void)
{
    uint32_t best = 0;
    while (network_kernels_at(best + 1)) {
        best++;
    }
    return network_kernels_at(best);
}
