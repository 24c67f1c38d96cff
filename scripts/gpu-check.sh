#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: builds the plug-in, runs the tests of models on it, bit by bit beside the
# CPU, and measures from which batch size on it is the faster one. Where there is no GPU or no nvcc it says
# so and ends with 3: nothing was checked.
#   scripts/gpu-check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/release
cmake --preset release >/dev/null
if ! grep -q libnudge_cuda.so "$build/build.ninja"; then
    echo "gpu-check: no nvcc here, so there is no plug-in: nothing was checked"
    exit 3
fi
cmake --build "$build" --target nudge nudge_cuda backend_cuda_test backend_cuda_bench >/dev/null
echo "registers and spills, by ptxas:"
grep -E 'Compiling|registers|spill' "$build/cuda-registers.txt" | sed 's/^ptxas info *: */  /'
plugin=$PWD/$build/libnudge_cuda.so
code=0
"$build/backend_cuda_bench" "$plugin" >"$build/cuda-bench.txt" || code=$?
if [ "$code" -eq 3 ]; then
    echo "gpu-check: nothing was checked on a GPU"
    exit 3
fi
[ "$code" -eq 0 ] || exit "$code"
NUDGE_CUDA_PLUGIN=$plugin "$build/backend_cuda_test"
cat "$build/cuda-bench.txt"
echo "gpu-check: the GPU has the CPU's bits"
