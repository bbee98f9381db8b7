"""Zip archives, read with distrust and written so that members can be mapped."""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib

from atled.core._core import FormatError

from .memory import Source

_LOCAL = struct.Struct("<4s22sHH")  # of a member's own header: signature, what the directory says too, two lengths
_ALIGNMENT = 64
_PADDING_FIELD = 0xD935  # what Android's zipalign uses
# Compressed members may together expand to this, or to so many times the file's size.
_EXPANDED_BYTES = 1 << 30
_EXPANSION = 100


class Archive:
    """The members of a zip file, stored or deflated.

    Members that overlap, lie about their size or expand to far more than the file's size are refused, so that no
    file costs much more memory than its own size allows.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        try:
            with zipfile.ZipFile(source.file) as archive:
                listed = archive.infolist()
        except OSError as error:
            if error.errno != errno.EINVAL:  # a seek to where a broken directory points
                raise
            raise FormatError("expected a zip archive; its directory is broken") from None
        except (
            zipfile.BadZipFile,
            zipfile.LargeZipFile,
            ValueError,
            NotImplementedError,
            OverflowError,
            EOFError,
        ) as e:
            raise FormatError(f"expected a zip archive: {e}") from None
        except struct.error:
            raise FormatError("expected a zip archive; its directory is truncated") from None
        self._members = {member.filename: member for member in listed}
        if len(self._members) != len(listed):
            raise FormatError("expected each member's name once in the archive")
        end = source.start
        for member in sorted(listed, key=lambda member: member.header_offset):
            if member.header_offset < end:
                raise FormatError(f"member {member.filename!r} overlaps the one before it")
            end = member.header_offset + _LOCAL.size + member.compress_size
            if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
                raise FormatError(f"member {member.filename!r}: expected a stored member to have one size, got two")
        expanded = sum(m.file_size for m in listed if m.compress_type != zipfile.ZIP_STORED)
        if expanded > max(_EXPANDED_BYTES, _EXPANSION * (source.end - source.start)):
            raise FormatError(
                f"the compressed members claim {expanded} bytes, far more than the file's "
                f"{source.end - source.start}; if they are sound, save them uncompressed"
            )

    @property
    def names(self) -> list[str]:
        """The members' names, in the archive's order."""
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> memoryview:
        """The content of a member: mapped if the source is and the member is stored, else read and checked."""
        member = self._members[name]
        if member.flag_bits & 0x1:
            raise FormatError(f"member {name!r} is encrypted")
        signature, _, name_size, extra_size = _LOCAL.unpack(self._source.read(member.header_offset, _LOCAL.size))
        if signature != b"PK\x03\x04":
            raise FormatError(f"member {name!r}: expected its header where the directory says")
        begin = member.header_offset + _LOCAL.size + name_size + extra_size
        content = self._source.read(begin, member.compress_size)
        if member.compress_type == zipfile.ZIP_DEFLATED:
            content = _inflate(content, member)
        elif member.compress_type != zipfile.ZIP_STORED:
            raise FormatError(f"member {name!r}: expected it stored or deflated, got method {member.compress_type}")
        elif self._source.is_mapped:
            return content  # a checksum would read all of it
        if zlib.crc32(content) != member.CRC:
            raise FormatError(f"member {name!r}: the checksum is wrong; the file is damaged")
        return content


def _inflate(content: memoryview, member: zipfile.ZipInfo) -> memoryview:
    try:
        # One byte more than promised shows a member that has more.
        expanded = zlib.decompressobj(-15).decompress(content, member.file_size + 1)
    except (zlib.error, OverflowError) as error:
        raise FormatError(f"member {member.filename!r}: {error}") from None
    if len(expanded) != member.file_size:
        raise FormatError(f"member {member.filename!r}: expected {member.file_size} bytes, got {len(expanded)}")
    return memoryview(bytearray(expanded))


def add(archive: zipfile.ZipFile, name: str, *parts: bytes | memoryview) -> None:
    """Writes a stored member whose content begins at a multiple of 64 bytes."""
    info = zipfile.ZipInfo(name)  # of 1980: the same tensors give the same file
    assert archive.fp is not None
    zip64 = 20  # bytes of the field that force_zip64 adds
    begin = archive.fp.tell() + _LOCAL.size + len(name.encode()) + zip64 + 4
    info.extra = struct.pack("<HH", _PADDING_FIELD, -begin % _ALIGNMENT) + bytes(-begin % _ALIGNMENT)
    with archive.open(info, "w", force_zip64=True) as member:
        for part in parts:
            member.write(part)
