"""Prints where the installed wheels have oneDNN: library, headers and licences, as a CMake list."""

import sys
from importlib import metadata
from pathlib import Path


def locate(distribution: str, ending: str) -> Path:
    """The one file of an installed distribution whose path ends so."""
    for file in metadata.files(distribution) or []:
        if str(file).replace("\\", "/").endswith(ending):
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError(f"{distribution} has no file {ending}")


try:
    library = locate("onednn-cpu-gomp", "/libdnnl.so.3")
    headers = locate("onednn-devel-cpu-gomp", "/oneapi/dnnl/dnnl.hpp").parents[2]
    licenses = locate("onednn-cpu-gomp", "/doc/onednn/LICENSE").parent
except (metadata.PackageNotFoundError, FileNotFoundError) as error:
    sys.exit(str(error))
print(library, headers, licenses, sep=";", end="")
