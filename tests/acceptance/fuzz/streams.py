"""Compressed streams cut, flipped, joined, swollen, and files that are something else."""

import bz2
import gzip
import lzma
import zlib
from functools import cache

import nibabel
from isal import igzip_lib

from tests.acceptance.fuzz.mutant import Content, Random

MIB = 2**20
JUNK = (
    b"",
    b"\x1f",
    b"\x1f\x8b",
    b"\x1f\x8b\x08",
    b"GIF89a",
    b"PK\x03\x04",
    b"\0" * 5000,
    b"\xff" * 348,
    b"\x5c\x01\0\0",
    b"\0\0\x01\x5c",
    b"<!DOCTYPE html>",
    b"\x1c\x02\0\0",
    bytes(128) + b"DICM",
)


def compress(content: bytes) -> bytes:
    """One member, as any program writes it."""
    packed: bytes = igzip_lib.compress(content, 1, igzip_lib.COMP_GZIP)
    return packed


def damage(plain: bytes, random: Random) -> tuple[str, Content]:
    """Store the bytes of a volume in a stream that is wrong, or right and odd."""
    ways = (_flip, _flip, _cut, _cut, _split, _trail, _respell, _wrap, _junk, _bomb, _sparse)
    return ways[int(random.integers(len(ways)))](plain, random)


def _flip(plain: bytes, random: Random) -> tuple[str, Content]:
    packed = bytearray(compress(plain))
    most = len(packed) if random.random() < 0.6 else 32
    places = random.integers(0, 8 * most, int(random.integers(1, 6))).tolist()
    if random.random() < 0.2:
        places = [8 * len(packed) - 1 - place % 64 for place in places]
    for place in places:
        packed[place // 8] ^= 1 << place % 8
    return f"gzip bits {places} of {8 * len(packed)}", Content(bytes(packed))


def _cut(plain: bytes, random: Random) -> tuple[str, Content]:
    packed = compress(plain) if random.random() < 0.6 else plain
    near = random.random() < 0.5
    length = int(random.integers(0, 400)) if near else int(random.integers(0, len(packed)))
    if random.random() < 0.3:
        length = len(packed) - length % 20
    kind = "compressed" if packed is not plain else "plain"
    return f"{kind}, cut to {length} of {len(packed)}", Content(packed[:length])


def _split(plain: bytes, random: Random) -> tuple[str, Content]:
    """Many members, some empty, the parts of them all the volume, or too little, or too much."""
    ends = sorted(random.integers(0, len(plain), int(random.integers(1, 8))).tolist())
    parts = [plain[i:j] for i, j in zip([0, *ends], [*ends, len(plain)], strict=True)]
    way = int(random.integers(4))
    if way == 1:
        parts.insert(int(random.integers(len(parts))), b"")
    elif way == 2:
        parts.pop(int(random.integers(len(parts))))
    elif way == 3:
        parts.append(parts[0])
    return f"members {ends}, way {way}", Content(b"".join(map(compress, parts)))


def _trail(plain: bytes, random: Random) -> tuple[str, Content]:
    tail = JUNK[int(random.integers(len(JUNK)))]
    if random.random() < 0.5:
        tail += random.bytes(int(random.integers(1, 2000)))
    inside = random.random() < 0.4
    packed = compress(plain + tail) if inside else compress(plain) + tail
    return f"{len(tail)} bytes {tail[:8]!r} trail, inside {inside}", Content(packed)


def _respell(plain: bytes, random: Random) -> tuple[str, Content]:
    """A gzip header with other flags, with names and comments or without the end of them."""
    packed = compress(plain)
    flags = int(random.integers(256))
    extra = random.bytes(int(random.choice([0, 1, 2, 10, 70000])))
    head = packed[:2] + bytes([int(random.choice([8, 8, 8, 0, 7])), flags]) + packed[4:10]
    return f"gzip flags {flags}, {len(extra)} bytes more", Content(head + extra + packed[10:])


def _wrap(plain: bytes, random: Random) -> tuple[str, Content]:
    wraps = {
        "gzip twice": lambda b: compress(compress(b)),
        "xz": lambda b: lzma.compress(b, preset=0),
        "bz2": lambda b: bz2.compress(b, 1),
        "zlib": zlib.compress,
        "plain": bytes,
        "level 0": lambda b: gzip.compress(b, 0),
        "level 9": lambda b: gzip.compress(b, 9),
    }
    name = str(random.choice(list(wraps)))
    return name, Content(wraps[name](plain))


def _junk(plain: bytes, random: Random) -> tuple[str, Content]:
    start = JUNK[int(random.integers(len(JUNK)))]
    body = random.bytes(int(random.choice([0, 1, 10, 348, 352, 5000])))
    packed = random.random() < 0.4
    return f"junk {start[:8]!r}, {len(body)} bytes, compressed {packed}", Content(
        compress(start + body) if packed else start + body
    )


def _bomb(plain: bytes, random: Random) -> tuple[str, Content]:
    """Little that becomes hundreds of MB or GB, as the header says or beyond what it says."""
    honest = random.random() < 0.7
    mib = int(random.choice([64, 120, 200, 300, 500, 700, 1000, 2000, 4000]))
    start = plain
    if honest:
        width, code = [(1, 2), (2, 4), (4, 16), (8, 64)][int(random.integers(4))]
        side = round((mib * MIB / width) ** (1 / 3))
        header = nibabel.Nifti1Header()
        header["dim"][:4] = (3, side, side, side)
        header["datatype"], header["bitpix"], header["vox_offset"] = code, 8 * width, 352
        header["magic"], header["sform_code"] = b"n+1", 1
        header["srow_x"], header["srow_y"], header["srow_z"] = (
            (1, 0, 0, 0),
            (0, 1, 0, 0),
            (0, 0, 1, 0),
        )
        header["pixdim"][1:4] = 1
        start = header.binaryblock + bytes(4)
    members = compress(start) + _zeros() * (mib // 16)
    if honest:
        left = side**3 * width - mib // 16 * 16 * MIB
        members = compress(start) + _zeros() * (side**3 * width // (16 * MIB))
        members += compress(bytes(side**3 * width % (16 * MIB)))
        return f"{len(members)} bytes truly become {side}^3 of {width} ({left} rest)", Content(
            members
        )
    return f"{len(members)} bytes become {mib} MiB, unsaid", Content(members)


@cache
def _zeros() -> bytes:
    return compress(bytes(16 * MIB))


def _sparse(plain: bytes, random: Random) -> tuple[str, Content]:
    """A file that is almost all hole."""
    size = int(random.choice([50, 200, 900, 3000, 7000, 9000])) * MIB
    start = plain if random.random() < 0.5 else compress(plain)
    return f"{len(start)} bytes, then zeros up to {size // MIB} MiB", Content(start, size)
