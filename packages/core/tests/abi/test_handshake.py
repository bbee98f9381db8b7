"""Forged handshakes: each is refused with the exact reason, and none crashes."""

import ctypes
from typing import Any

import pytest

from atled.core import _core

MAJOR, MINOR = _core.abi_version()
MAGIC = 0x6174656C64414249
CORE = f"atled-core {_core.__version__}"
WORD = ctypes.sizeof(ctypes.c_void_p)
TABLE = 18 * WORD


class Request(ctypes.Structure):
    _fields_ = [
        ("magic", ctypes.c_uint64),
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("target_minor", ctypes.c_uint32),
        ("api_size", ctypes.c_uint32),
        ("distribution", ctypes.c_char_p),
        ("version", ctypes.c_char_p),
        ("api", ctypes.c_void_p),
        ("error", ctypes.c_char_p),
        ("error_size", ctypes.c_uint64),
    ]


NEGOTIATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Request))


class Handshake(ctypes.Structure):
    _fields_ = [
        ("magic", ctypes.c_uint64),
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("distribution", ctypes.c_char_p),
        ("version", ctypes.c_char_p),
        ("negotiate", NEGOTIATE),
    ]


def shown() -> Handshake:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return Handshake.from_address(get(_core._abi, b"atled.core._core._abi"))


def ask(table_words: int = 64, **changes: Any) -> tuple[int, str, list[int]]:
    """Negotiates as a plugin of today's header would, but for the changes: status, error, the table's words."""
    text = ctypes.create_string_buffer(512)
    table = (ctypes.c_uint64 * table_words)(*([0xDEAD] * table_words))
    said: dict[str, Any] = {
        "magic": MAGIC,
        "major": MAJOR,
        "minor": 1,
        "target_minor": 1,
        "api_size": TABLE,
        "distribution": b"atled-forged",
        "version": b"9.9",
        "api": ctypes.cast(table, ctypes.c_void_p),
        "error": ctypes.cast(text, ctypes.c_char_p),
        "error_size": 512,
    }
    said.update(changes)
    status = shown().negotiate(ctypes.byref(Request(**said)))
    return status, text.value.decode(), list(table)


def test_what_core_shows() -> None:
    core = shown()
    assert (core.magic, core.major, core.minor) == (MAGIC, MAJOR, MINOR)
    assert core.distribution == b"atled-core"
    assert core.version == _core.__version__.encode()


def test_accepted_and_filled_to_the_end_of_the_table_only() -> None:
    status, error, table = ask()
    assert (status, error) == (0, "")
    words = TABLE // WORD
    assert all(word not in (0, 0xDEAD) for word in table[:words])
    assert all(word == 0xDEAD for word in table[words:])


def test_bad_magic() -> None:
    status, error, table = ask(magic=0x1234)
    assert status == 10
    assert error == ""  # nothing in such a request can be trusted, so nothing is written through its pointers
    assert set(table) == {0xDEAD}


def test_wrong_major() -> None:
    _, error, table = ask(major=MAJOR + 7)
    assert error == (
        f"atled-forged 9.9 was built for ABI {MAJOR + 7}.1, but {CORE} has ABI {MAJOR}.{MINOR}: "
        f"pip install -U atled-core atled-forged"
    )
    assert set(table) == {0xDEAD}


def test_newer_minor() -> None:
    _, error, _ = ask(minor=MINOR + 3, target_minor=MINOR + 3, api_size=TABLE + 80)
    assert error == (
        f"atled-forged 9.9 needs ABI {MAJOR}.{MINOR + 3} or later, but {CORE} has ABI "
        f"{MAJOR}.{MINOR}: pip install -U atled-core"
    )


def test_target_above_its_own_header() -> None:
    if MINOR == 1:
        pytest.skip("a core of minor 1 refuses every such target as newer than itself")
    _, error, _ = ask(minor=1, target_minor=2)
    assert error == f"atled-forged 9.9 asks for ABI {MAJOR}.2 but was built with the header of {MAJOR}.1: rebuild it"


def test_truncated_table() -> None:
    _, error, table = ask(api_size=TABLE - WORD)
    assert error == (
        f"atled-forged 9.9 hands over a truncated table: expected {TABLE} bytes for ABI "
        f"{MAJOR}.1, got {TABLE - WORD}: rebuild it"
    )
    assert set(table) == {0xDEAD}


def test_oversized_table() -> None:
    _, error, _ = ask(api_size=TABLE + WORD)
    assert error == (
        f"atled-forged 9.9 hands over an oversized table: expected {TABLE} bytes for ABI "
        f"{MAJOR}.1, got {TABLE + WORD}: rebuild it"
    )


@pytest.mark.parametrize("changes", [{"api": None}, {"api_size": TABLE + 3}])
def test_no_table_of_functions(changes: dict[str, Any]) -> None:
    _, error, _ = ask(**changes)
    size = changes.get("api_size", TABLE)
    assert error == f"atled-forged 9.9 hands over no table of whole functions (size {size}): rebuild it"


def test_newer_header_that_targets_an_older_minor_gets_stubs_that_raise() -> None:
    extra = 5
    status, error, table = ask(minor=MINOR + 1, target_minor=1, api_size=TABLE + extra * WORD)
    assert (status, error) == (0, "")
    words = TABLE // WORD
    stubs = table[words : words + extra]
    assert len(set(stubs)) == 1 and stubs[0] not in (0, 0xDEAD)
    assert ctypes.CFUNCTYPE(ctypes.c_int)(stubs[0])() == 10
    get_error = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(table[14])

    class Error(ctypes.Structure):
        _fields_ = [
            ("kind", ctypes.c_int32),
            ("message", ctypes.c_char_p),
            ("op", ctypes.c_char_p),
            ("python", ctypes.c_void_p),
        ]

    state = Error()
    assert get_error(ctypes.byref(state)) == 10
    assert state.message == (
        b"this atled-core is older than the plugin that calls it and lacks the "
        b"function; update it: pip install -U atled-core"
    )
    ctypes.CFUNCTYPE(None)(table[15])()


def test_missing_error_buffer_is_no_crash() -> None:
    status, _, _ = ask(major=MAJOR + 1, error=None, error_size=0)
    assert status == 10
