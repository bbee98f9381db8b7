#!/usr/bin/env bash
# Builds packages in place for development: `ci/dev.sh core nn` or `ci/dev.sh all`.
#
# Native libraries are compiled incrementally in packages/<p>/build and installed beside the Python sources in
# packages/<p>/src, where git ignores them. Every package's src folder is put on the path of the interpreter
# ($ATLED_DEV_PYTHON, or else `python`), with the metadata that entry points are found by.
#
# Environment: ATLED_DEV_PYTHON, ATLED_BUILD_TYPE (Release), ATLED_JOBS (all processors), ATLED_CMAKE_ARGS.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$(command -v "${ATLED_DEV_PYTHON:-python}")
jobs=${ATLED_JOBS:-$(getconf _NPROCESSORS_ONLN)}
PATH=$(dirname "$python"):$PATH

if [ $# -eq 0 ]; then
  echo "usage: ci/dev.sh <package>... | all" >&2
  exit 2
fi

declare -A versions
order=()
while read -r name version; do
  order+=("$name")
  versions[$name]=$version
done < <("$python" "$root/ci/dev_link.py" --order)

build() {
  local package=$root/packages/$1
  local options=(
    -S "$package" -B "$package/build"
    -DCMAKE_BUILD_TYPE="${ATLED_BUILD_TYPE:-Release}"
    -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
    -DCMAKE_MODULE_PATH="$root/packages/core/cmake"
    -DPython_EXECUTABLE="$python"
    -DSKBUILD_PROJECT_NAME="atled-$1" -DSKBUILD_PROJECT_VERSION="${versions[$1]}"
  )
  local nanobind
  if nanobind=$("$python" -m nanobind --cmake_dir 2>/dev/null); then options+=(-Dnanobind_ROOT="$nanobind"); fi
  if command -v ninja >/dev/null; then options+=(-G Ninja); fi
  if command -v ccache >/dev/null; then
    options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  # shellcheck disable=SC2206  # a list of words on purpose
  options+=(${ATLED_CMAKE_ARGS:-})
  cmake "${options[@]}" --log-level=WARNING --no-warn-unused-cli
  cmake --build "$package/build" -j "$jobs"
  cmake --install "$package/build" --prefix "$package/src" >/dev/null
}

chosen=("$@")
if [ "$1" = all ]; then chosen=("${order[@]}"); fi

"$python" "$root/ci/dev_link.py"
for name in "${chosen[@]}"; do
  if [ -z "${versions[$name]:-}" ]; then
    echo "ci/dev.sh: expected one of: ${order[*]}; got $name" >&2
    exit 2
  fi
  if [ -f "$root/packages/$name/CMakeLists.txt" ]; then build "$name"; fi
done
