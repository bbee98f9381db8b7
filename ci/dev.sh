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

build() {
  local package=$root/packages/$1 version
  version=$("$python" "$root/ci/dev_link.py" --version-of "$package")
  local options=(
    -S "$package" -B "$package/build"
    -DCMAKE_BUILD_TYPE="${ATLED_BUILD_TYPE:-Release}"
    -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
    -DCMAKE_MODULE_PATH="$root/packages/core/cmake"
    -DPython_EXECUTABLE="$python"
    -DSKBUILD_PROJECT_NAME="atled-$1" -DSKBUILD_PROJECT_VERSION="$version"
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

packages=("$@")
if [ "$1" = all ]; then
  packages=(core)
  for folder in "$root"/packages/*/pyproject.toml; do
    name=$(basename "$(dirname "$folder")")
    if [ "$name" != core ]; then packages+=("$name"); fi
  done
fi

"$python" "$root/ci/dev_link.py" "$root"
for name in "${packages[@]}"; do
  if [ ! -d "$root/packages/$name" ]; then
    echo "ci/dev.sh: expected a folder of packages/, got $name" >&2
    exit 2
  fi
  if [ -f "$root/packages/$name/CMakeLists.txt" ]; then build "$name"; fi
done
