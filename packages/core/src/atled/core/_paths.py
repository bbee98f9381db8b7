"""Where this package keeps what others build against."""

from __future__ import annotations

from pathlib import Path


def get_include() -> str:
    """The folder to put on the include path for ``#include <atled/plugin.hpp>``.

    >>> (Path(get_include()) / "atled" / "plugin.hpp").exists()
    True
    """
    return str(Path(__file__).parent / "include")


def get_cmake_dir() -> str:
    """The folder to put on CMake's module path for ``include(AtledPlugin)``.

    >>> (Path(get_cmake_dir()) / "AtledPlugin.cmake").exists()
    True
    """
    return str(Path(__file__).parent / "cmake")
