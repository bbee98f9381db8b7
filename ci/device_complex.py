"""Finds conversions between std::complex of float and of double in device code, which nvcc compiles to nothing.

libstdc++'s constructors for them are constexpr, so that calling them is no error there, but what they compute by the
compiler's _Complex is dropped: neither a load nor a store is left. All .cu files are compiled without optimisation,
where a call of one is still to be seen in the PTX. ``functors/types.h`` has Cast, which converts part by part.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workspace import ROOT, discover

FLAGS = ["-std=c++17", "-Xcicc", "-O0", "--expt-relaxed-constexpr", "--extended-lambda", "-arch=sm_90", "-ptx"]
FLAGS += ["-diag-suppress=186", "-DNDEBUG"]
_CALL = re.compile(r"call\.uni[^;]*?\b(_ZNSt7complexI[fd]EC[12]ERKS_I[fd]E)\b")
_ENTRY = re.compile(r"^\.(?:visible |weak |entry |func )+.*?\b(_Z\w+)\b", re.MULTILINE)
# That it finds one where there is one, and none where there is none.
KNOWN = """
#include <complex>
__global__ void widen(const std::complex<float>* in, std::complex<double>* out) {
  *out = std::complex<double>(%s);
}
"""


def find_nvcc() -> str | None:
    """nvcc on the path, of the toolkit, or among the interpreter's packages."""
    toolkits = [os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"]
    files = [Path(toolkit) / "bin" / "nvcc" for toolkit in toolkits if toolkit]
    files += sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/cu*/bin/nvcc"))
    return shutil.which("nvcc") or next((str(file) for file in files if file.exists()), None)


def conversions(nvcc: str, source: Path, folders: list[Path]) -> list[str]:
    """The functions of a .cu file that call a conversion, by their mangled names."""
    with tempfile.TemporaryDirectory() as folder:
        ptx = Path(folder) / "out.ptx"
        command = [nvcc, *FLAGS, *(f"-I{folder}" for folder in folders), str(source), "-o", str(ptx)]
        subprocess.run(command, check=True)
        text = ptx.read_text()
    found = []
    for call in _CALL.finditer(text):
        before = [entry[1] for entry in _ENTRY.finditer(text, 0, call.start())]
        found.append(before[-1] if before else call[1])
    return sorted(set(found))


def check_itself(nvcc: str) -> None:
    """Raises where the compiler's output is not what is looked for."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "known.cu"
        for argument, expected in (("*in", 1), ("in->real(), in->imag()", 0)):
            source.write_text(KNOWN % argument)
            if len(conversions(nvcc, source, [])) != expected:
                raise RuntimeError(f"expected {expected} conversions to be found in complex<double>({argument})")


def main() -> int:
    """Command line: the .cu files to look at, by default all of the packages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    nvcc = find_nvcc()
    if not nvcc:
        print("device_complex: there is no nvcc, nothing was looked at")
        return 0
    check_itself(nvcc)
    public = ROOT / "packages" / "core" / "include"
    work = [(p, f) for p in discover() for f in sorted((p.folder / "csrc").rglob("*.cu"))]
    if arguments.files:
        chosen = {path.resolve() for path in arguments.files}
        work = [(p, f) for p, f in work if f in chosen]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        found = list(pool.map(lambda one: conversions(nvcc, one[1], [one[0].folder / "csrc", public]), work))
    for (_, file), names in zip(work, found, strict=True):
        for name in names:
            print(f"{file.relative_to(ROOT)}: {name} converts between complex numbers of float and double; use Cast")
    print(f"device_complex: {len(work)} files, {sum(map(len, found))} functions that convert")
    return int(any(found))


if __name__ == "__main__":
    sys.exit(main())
