#!/usr/bin/env bash
# Everything that needs a GPU, in one command of at most ten minutes: ci/gpu.sh [folder]
#
# Builds core with the CUDA backend and the other packages, without the network; then, side by side, runs the tests of
# device "cuda" (every op's specification, gradients, layers, optimizers, random programs, the digits) and
# compute-sanitizer on a selection; then, alone, the benchmarks beside PyTorch on the same GPU. Logs go to the folder
# (build/gpu), figures to benchmarks/results/<gpu>.json.
#
# Needs a python3 with the build requirements of pyproject.toml, NumPy, SciPy, pytest, CuPy and PyTorch, and nvcc.
# What else a build needs is taken from $ATLED_WHEELS, a folder of wheels; with this checkout's own among them (as
# ATLED_CUDA=ON ci/wheels.py makes them) nothing is built. $ATLED_GPU_SECONDS limits the whole (570).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

logs=${1:-build/gpu}
mkdir -p "$logs"
logs=$(cd "$logs" && pwd)
seconds=${ATLED_GPU_SECONDS:-570}
jobs=$(getconf _NPROCESSORS_ONLN)
status=0
rm -f "$logs"/*.result

left() { echo $((seconds - SECONDS)); }

# step <name> <most seconds> <command>...
step() {
  local name=$1 most=$2 start=$SECONDS code=0
  shift 2
  if [ "$(left)" -lt "$most" ]; then most=$(left); fi
  if [ "$most" -le 0 ]; then
    printf '%-12s not run: no time left\n' "$name" >"$logs/$name.result"
    return 1
  fi
  timeout --kill-after=5 "$most" "$@" >"$logs/$name.log" 2>&1 || code=$?
  local said
  said=$(grep -aE '[0-9]+ (passed|failed|skipped|errors?)|ERROR SUMMARY|RACECHECK SUMMARY|test accuracy|[0-9]+ wrong' "$logs/$name.log" | tail -1)
  if [ $code -ne 0 ]; then said="FAILED ($code) ${said:-$(tail -1 "$logs/$name.log")}"; fi
  printf '%-12s %4d s  %s\n' "$name" $((SECONDS - start)) "${said:0:150}" >"$logs/$name.result"
  return $code
}

# beside <name> <most seconds> <command>...: a step that goes on while the next ones begin, until `together`.
started=()
beside() {
  step "$@" &
  started+=($!)
}
together() {
  local one
  for one in "${started[@]}"; do wait "$one" || status=1; done
  started=()
}

gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)
slug=$(tr '[:upper:] ' '[:lower:]-' <<<"${gpu:-none}")
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
export ATLED_CUDA=ON CMAKE_BUILD_PARALLEL_LEVEL=$jobs
export CMAKE_ARGS="-DATLED_CUDA_ARCHITECTURES=${capability:-90}"
export PIP_DISABLE_PIP_VERSION_CHECK=1

export logs site=$logs/site
export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
build() {
  local wheels=${ATLED_WHEELS:-} made=$logs/wheels package
  local pip=(python3 -m pip --quiet) fixed=(--no-index --no-deps)
  rm -rf "$site" "$made" && mkdir -p "$made" || return 1
  if [ -n "$wheels" ]; then cp "$wheels"/*.whl "$made" || return 1; fi
  for package in core testing autograd nn optim data distributed; do
    if compgen -G "$made/atled_$package-*.whl" >/dev/null; then continue; fi
    "${pip[@]}" wheel "${fixed[@]}" --no-build-isolation --wheel-dir "$made" "./packages/$package" || return 1
    # The others are built against core. pip adds nothing to a folder of that name that is there: it makes all anew.
    if [ $package = core ]; then "${pip[@]}" install "${fixed[@]}" --target "$site" "$made"/*.whl || return 1; fi
  done
  rm -rf "$site"
  "${pip[@]}" install "${fixed[@]}" --target "$site" "$made"/*.whl || return 1
  python3 -c 'import atled.core as at; print(at.device("cuda"), at.cuda.get_device_name())'
}

export -f build
if step build 300 bash -c build; then
  pytest=(python3 -m pytest -q -p no:cacheprovider --tb=short)
  spread() { if python3 -c 'import xdist' 2>/dev/null; then printf -- '-n\n%s\n' "$1"; fi; }
  mapfile -t many < <(spread $((jobs / 2)))
  mapfile -t few < <(spread $((jobs / 8 + 1)))
  # Many processes at once: one thread each.
  export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 ATLED_NUM_THREADS=1
  beside backend 200 "${pytest[@]}" "${few[@]}" packages/core/tests/cuda -k "not on_a_device"
  beside nn-cuda 200 "${pytest[@]}" "${few[@]}" packages/nn/tests/test_cuda*.py
  beside optim-cuda 200 "${pytest[@]}" packages/optim/tests/test_cuda.py
  beside distributed 100 "${pytest[@]}" packages/distributed/tests/test_cuda_nccl.py
  beside graphed 200 "${pytest[@]}" packages/autograd/tests/test_cuda_graphed.py
  export ATLED_TEST_DEVICE=cuda
  beside ops 200 "${pytest[@]}" "${many[@]}" packages/core/tests/test_ops.py
  beside gradients 200 "${pytest[@]}" "${few[@]}" packages/autograd/tests/test_rules.py -k first_and_second
  beside nn 200 "${pytest[@]}" "${few[@]}" packages/nn/tests/test_ops.py
  beside optim 200 "${pytest[@]}" packages/optim/tests/test_ops.py
  beside fuzz 100 python3 -m atled.testing.fuzz --device cuda --seconds 60
  beside wild 100 python3 -W ignore -m atled.testing.fuzz --device cuda --seconds 60 --wild
  beside fuzz-grad 100 python3 -W ignore -m atled.testing.fuzz --device cuda --seconds 60 --gradients
  beside digits 60 python3 examples/train_digits.py --device cuda --out "$logs/digits"
  selection='(add or sum or softmax or cumsum or sort or index_select or index_put or matmul) and float32 and test_op'
  for tool in memcheck racecheck; do
    beside $tool 200 compute-sanitizer --tool $tool --error-exitcode 9 --print-limit 5 \
      "${pytest[@]}" packages/core/tests/test_ops.py -k "$selection"
  done
  together
  unset ATLED_TEST_DEVICE OMP_NUM_THREADS OPENBLAS_NUM_THREADS ATLED_NUM_THREADS
  # Looks at what the device has left, so it is alone.
  step allocator 60 "${pytest[@]}" packages/core/tests/cuda/test_allocator_host.py -k on_a_device || status=1
  step benchmarks 200 python3 -m benchmarks cuda --rounds 5 --save "$slug" || status=1
  step launches 60 bash -c 'nvcc -O2 -std=c++17 -o "$logs/launches" benchmarks/launches.cu && "$logs/launches"' || true
  step kernels 60 python3 -m benchmarks.kernels sum argmax variance norm topk randperm attention 'training step' || true
else
  status=1
fi

printf '\n=== %s\n' "${gpu:-no GPU}"
sed -n '/atled  *numpy/,$p' "$logs/benchmarks.log" 2>/dev/null
cat "$logs/launches.log" 2>/dev/null
cat "$logs"/*.result
exit $status
