#!/usr/bin/env bash
# Everything that needs a GPU, in one command of at most ten minutes: ci/gpu.sh [folder]
#
# Builds core with the CUDA backend and the other packages, without the network, runs the tests of device "cuda" (every
# op's specification, gradients, layers, optimizers, the digits), compute-sanitizer on a selection, and the benchmarks
# beside PyTorch on the same GPU. Logs go to the folder (build/gpu), figures to benchmarks/results/<gpu>.json.
#
# Needs a python3 with the build requirements of pyproject.toml, NumPy, SciPy, pytest, CuPy and PyTorch, and nvcc.
# What else a build needs is taken from $ATLED_WHEELS, a folder of wheels. $ATLED_GPU_SECONDS limits the whole (570).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

logs=${1:-build/gpu}
mkdir -p "$logs"
logs=$(cd "$logs" && pwd)
seconds=${ATLED_GPU_SECONDS:-570}
jobs=$(getconf _NPROCESSORS_ONLN)
results=()
status=0

left() { echo $((seconds - SECONDS)); }

# step <name> <most seconds> <command>...
step() {
  local name=$1 most=$2 start=$SECONDS code=0
  shift 2
  if [ "$(left)" -lt "$most" ]; then most=$(left); fi
  if [ "$most" -le 0 ]; then
    results+=("$(printf '%-12s not run: no time left' "$name")")
    status=1
    return 1
  fi
  timeout --kill-after=5 "$most" "$@" >"$logs/$name.log" 2>&1 || code=$?
  local said
  said=$(grep -E '[0-9]+ (passed|failed|skipped|errors?)|ERROR SUMMARY|RACECHECK SUMMARY|test accuracy' "$logs/$name.log" | tail -1)
  if [ $code -ne 0 ]; then
    status=1
    said="FAILED ($code) ${said:-$(tail -1 "$logs/$name.log")}"
  fi
  results+=("$(printf '%-12s %4d s  %s' "$name" $((SECONDS - start)) "${said:0:120}")")
  return $code
}

gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)
slug=$(tr '[:upper:] ' '[:lower:]-' <<<"${gpu:-none}")
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
export ATLED_CUDA=ON CMAKE_BUILD_PARALLEL_LEVEL=$jobs
export CMAKE_ARGS="-DATLED_CUDA_ARCHITECTURES=${capability:-90}"
export PIP_DISABLE_PIP_VERSION_CHECK=1

install() {
  python3 -m venv --system-site-packages "$logs/venv" || return 1
  # What the interpreter holds may itself be an environment: its packages are added by their path.
  python3 - "$logs/venv" <<'PY'
import pathlib, sys, sysconfig
(site,) = pathlib.Path(sys.argv[1]).glob("lib/python*/site-packages")
(site / "interpreter.pth").write_text(sysconfig.get_path("purelib") + "\n")
PY
  local pip=("$logs/venv/bin/python" -m pip install --no-index --no-build-isolation --quiet)
  if [ -n "${ATLED_WHEELS:-}" ]; then
    local wheel
    for wheel in "$ATLED_WHEELS"/*.whl; do "${pip[@]}" --no-deps "$wheel" || return 1; done
  fi
  local package
  for package in core testing autograd nn optim data distributed; do
    "${pip[@]}" --no-deps "./packages/$package" || return 1
  done
  "$logs/venv/bin/python" -c 'import atled.core as at; print(at.device("cuda"), at.cuda.get_device_name())'
}

if step build 300 install; then
  PATH=$logs/venv/bin:$PATH
  export PATH
  spread=()
  if python -c 'import xdist' 2>/dev/null; then spread=(-n 6); fi
  pytest=(python -m pytest -q -p no:cacheprovider --tb=short "${spread[@]}")
  step backend 90 "${pytest[@]}" packages/core/tests/cuda
  export ATLED_TEST_DEVICE=cuda
  step ops 240 "${pytest[@]}" packages/core/tests/test_ops.py
  step gradients 120 "${pytest[@]}" packages/autograd/tests/test_rules.py -k first_and_second
  step nn 90 "${pytest[@]}" packages/nn/tests/test_ops.py packages/optim/tests/test_ops.py \
    packages/nn/tests/test_cuda_convolution.py packages/optim/tests/test_cuda.py
  step digits 60 python examples/train_digits.py --device cuda --out "$logs/digits"
  selection='(add or sum or softmax or cumsum or sort or index_select or index_put or matmul) and float32 and test_op'
  for tool in memcheck racecheck; do
    step $tool 60 compute-sanitizer --tool $tool --error-exitcode 9 --print-limit 5 \
      python -m pytest -q -p no:cacheprovider packages/core/tests/test_ops.py -k "$selection"
  done
  step benchmarks 150 python -m benchmarks cuda --rounds 5 --save "$slug"
fi

printf '\n=== %s\n' "${gpu:-no GPU}"
grep -A 80 -E '^(row|name|benchmark)' "$logs/benchmarks.log" 2>/dev/null | head -60
printf '  %s\n' "${results[@]}"
exit $status
