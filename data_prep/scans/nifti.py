"""NIfTI, of one file or a pair, read to its last byte, and trusted in nothing.

A pair is a header `.hdr` and, beside it, voxels `.img`; gzip may pack either.
"""

import hashlib
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from isal import igzip, igzip_lib
from nibabel.nifti1 import Nifti1PairHeader
from nibabel.nifti2 import Nifti2PairHeader
from nibabel.spatialimages import HeaderDataError

from data_prep.rules import Rule
from data_prep.scans.scan import MAX_VOXELS, Scan, ScanError

ENDINGS: tuple[str, ...] = (".nii.gz", ".nii", ".hdr", ".hdr.gz")  # of a pair, its header
MAX_BYTES = 8 * 2**30  # of a file, before it is looked into
BOMB_BYTES, BOMB_RATIO = 2**30, 200  # scans that large never shrink that much
MAX_OFFSET = 2**26  # of the first voxel: what lies between are extensions of the header
Bytes = npt.NDArray[np.uint8]
_GZIP = b"\x1f\x8b"
_PART = 2**28  # bytes inflated at once: the library counts in 32 bits
_START = 2**17  # bytes of a file that hold its header, compressed or not
_HEADERS = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
_PAIR_HEADERS = {348: Nifti1PairHeader, 540: Nifti2PairHeader}
_HEADER_BYTES = max(_HEADERS)
_MAGICS, _PAIR_MAGICS = (b"n+1", b"n+2"), (b"ni1", b"ni2")

_HALF = re.compile(r"(?P<stem>.+)\.(?P<half>hdr|img)(?P<packed>\.gz)?", re.IGNORECASE | re.DOTALL)
_OTHER = {"hdr": "img", "img": "hdr"}


def files_of(scan: Path) -> tuple[Path, ...]:
    """Return the files that make a scan: itself, or the header and the voxels of a pair.

    Where the other half of a pair is absent, its usual name stands for it.
    """
    match = _HALF.fullmatch(scan.name)
    if match is None:
        return (scan,)
    half = match["half"]
    other = _OTHER[half.lower()]
    other = other.upper() if half.isupper() else other
    plain = scan.with_name(f"{match['stem']}.{other}")
    packed = scan.with_name(f"{plain.name}.gz")
    options = (packed, plain) if match["packed"] else (plain, packed)
    found = next((option for option in options if option.exists()), options[0])
    return (scan, found) if half.lower() == "hdr" else (found, scan)


def count_bytes(path: Path) -> int:
    """Return what the voxels will take of the memory, by the header alone; 0 if it is broken.

    Scaled voxels are held as they are stored and as floats.
    """
    try:
        file, *voxels_file = files_of(path)
        if not stat.S_ISREG(file.stat().st_mode):
            return 0
        header = _read_header(file, of_pair=bool(voxels_file))
    except (OSError, ScanError):
        return 0
    voxels = int(np.prod(header.get_data_shape(), dtype=np.int64))
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    scaled = not (slope == 0 or (slope == 1 and intercept == 0))
    return voxels * (int(header.get_data_dtype().itemsize) + 4 * scaled)


def read_scan(path: Path) -> Scan:
    """Read `path` once: hash, gzip checksum, header, voxels. Raise a ScanError at any fault.

    Either half of a pair `.hdr` and `.img` stands for both.
    """
    file, *voxels = files_of(path)
    if voxels:
        return _read_pair(file, voxels[0])
    content = _read_bytes(file)
    compressed = content.startswith(_GZIP)
    header, body = _decompress(content) if compressed else (_parse_header(content), content)
    misnamed = not compressed and file.suffix == ".gz"
    digest = hashlib.sha256(content).hexdigest()
    return Scan(_cut_voxels(body, header), header, digest, misnamed)


def _read_pair(header_file: Path, voxels_file: Path) -> Scan:
    for file in (header_file, voxels_file):
        if not file.exists():
            raise ScanError(Rule.UNREADABLE, f"its other half {file.name} is absent")
    header = _read_header(header_file, of_pair=True)
    content = _read_bytes(voxels_file, header)
    digest = hashlib.sha256(_read_bytes(header_file, header))
    digest.update(content)
    named_packed = voxels_file.suffix.lower() == ".gz"  # plain voxels may begin like gzip
    packed = named_packed and content.startswith(_GZIP)
    body = _inflate_whole(content, _size_in_bytes(header)) if packed else content
    return Scan(_cut_voxels(body, header), header, digest.hexdigest(), named_packed and not packed)


def _read_bytes(path: Path, header: nibabel.Nifti1Header | None = None) -> bytes:
    """All of a file that `header`, or its own, does not say to be far smaller."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise ScanError(Rule.NOT_A_FILE, "neither a file nor a link to one")
        if status.st_size > MAX_BYTES:
            raise ScanError(Rule.ABSURD_SIZE, f"a file of {status.st_size} bytes")
        if status.st_size > MAX_OFFSET:
            _refuse_swollen(header or _read_header(path), status.st_size)
        content = path.read_bytes()
    except OSError as error:
        raise ScanError(Rule.UNREADABLE, str(error.strerror)) from error
    if not content:
        raise ScanError(Rule.EMPTY_FILE, "0 bytes")
    return content


def _refuse_swollen(header: nibabel.Nifti1Header, size: int) -> None:
    """Stop before a file is read that is far larger than its voxels are, compressed or not."""
    wanted = _size_in_bytes(header)
    if size > wanted + MAX_OFFSET:
        detail = f"a file of {size} bytes, more than the {wanted} that it claims"
        raise ScanError(Rule.TRAILING_BYTES, detail)


def _read_header(path: Path, *, of_pair: bool = False) -> nibabel.Nifti1Header:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise ScanError(Rule.NOT_A_FILE, "neither a file nor a link to one")
        with path.open("rb") as file:
            start = file.read(_START)
    except OSError as error:
        raise ScanError(Rule.UNREADABLE, str(error.strerror)) from error
    if not start:
        raise ScanError(Rule.EMPTY_FILE, "0 bytes")
    with _told_as_rot():
        start = _inflate(start, _HEADER_BYTES).tobytes() if start.startswith(_GZIP) else start
    return _parse_header(start, of_pair=of_pair)


def _decompress(content: bytes) -> tuple[nibabel.Nifti1Header, Bytes]:
    """Inflate to the checksum, but never more than the header has claimed."""
    with _told_as_rot():
        start = _inflate(content, _HEADER_BYTES)
    header = _parse_header(start.tobytes())
    return header, _inflate_whole(content, _size_in_bytes(header))


def _inflate_whole(content: bytes, wanted: int) -> Bytes:
    if wanted > max(BOMB_BYTES, BOMB_RATIO * len(content)):
        raise ScanError(Rule.ABSURD_SIZE, f"{len(content)} bytes claim to be {wanted}")
    with _told_as_rot():
        body = _inflate(content, wanted + 1)
    if len(body) < wanted:
        raise ScanError(Rule.TRUNCATED, f"ends early ({len(body)} of {wanted} bytes)")
    if len(body) > wanted:
        raise ScanError(Rule.TRAILING_BYTES, f"more than the {wanted} bytes that it claims")
    return body


@contextmanager
def _told_as_rot() -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise ScanError(Rule.TRUNCATED, "the compressed data ends before its checksum") from error
    except MemoryError as error:
        raise ScanError(Rule.ABSURD_SIZE, "claims more than there is memory for") from error
    except (igzip.BadGzipFile, igzip_lib.IsalError) as error:  # type: ignore[misc]  # its stub lies
        if str(error).startswith("Not a gzipped file"):
            raise ScanError(Rule.TRAILING_BYTES, "more follows its compressed data") from error
        detail = f"the compressed data is damaged ({error})"
        raise ScanError(Rule.BIT_ROT, detail) from error


def _inflate(content: bytes, most: int) -> Bytes:
    """Up to `most` bytes, of all members of a gzip file; those that end there match their checksum.

    They are written to an array, whose large pages the system hands out far sooner than a `bytes`;
    of isal only the private reader can fill one, so setup.cfg bounds its version.
    """
    found, count = np.empty(most, np.uint8), 0
    reader = igzip._GzipReader(content)
    while count < most and (more := reader.readinto(found[count : count + _PART])):
        count += more
    found.setflags(write=False)
    return found[:count]


def _parse_header(content: bytes, *, of_pair: bool = False) -> nibabel.Nifti1Header:
    if content[128:132] == b"DICM":
        raise ScanError(Rule.IS_DICOM, "this is DICOM under the name of NIfTI")
    claimed = {int.from_bytes(content[:4], "little"), int.from_bytes(content[:4], "big")}
    for size, header_class in (_PAIR_HEADERS if of_pair else _HEADERS).items():
        if size in claimed:
            return _make_header(header_class, content[:size])
    raise ScanError(Rule.NOT_NIFTI, f"not NIfTI (begins with {content[:8]!r})")


def _make_header(header_class: type[nibabel.Nifti1Header], block: bytes) -> nibabel.Nifti1Header:
    if len(block) < header_class.sizeof_hdr:
        raise ScanError(Rule.TRUNCATED, f"ends within the header ({len(block)} bytes)")
    try:
        header = header_class(block, check=False)
        dtype, shape = header.get_data_dtype(), header.get_data_shape()
        offset = int(header["vox_offset"])
    except (HeaderDataError, ValueError, KeyError, OverflowError) as error:
        raise ScanError(Rule.BAD_HEADER, f"header cannot be understood ({error})") from error
    _check_magic(header)
    if min(shape, default=0) < 1 or dtype.itemsize == 0:
        raise ScanError(Rule.BAD_HEADER, f"shape {shape} of type {dtype} has no voxels")
    if np.prod(shape, dtype=np.float64) > MAX_VOXELS:
        raise ScanError(Rule.ABSURD_SIZE, f"claims {' x '.join(map(str, shape))} voxels")
    if not 0 <= offset <= MAX_OFFSET:
        raise ScanError(Rule.BAD_HEADER, f"voxels begin at byte {offset}")
    return header


def _check_magic(header: nibabel.Nifti1Header) -> None:
    magic = header["magic"].item()[:3]
    if header.is_single and magic not in _MAGICS:
        raise ScanError(Rule.NOT_NIFTI, "Analyze, or a header whose voxels lie in another file")
    if not header.is_single and magic in _MAGICS:
        raise ScanError(Rule.NOT_NIFTI, "a whole scan named as the header of a pair, not as .nii")
    if not header.is_single and magic not in _PAIR_MAGICS:
        raise ScanError(Rule.NOT_NIFTI, "Analyze, which does not store left and right")


def _size_in_bytes(header: nibabel.Nifti1Header) -> int:
    voxels = int(np.prod(header.get_data_shape(), dtype=np.int64))
    return _offset(header) + voxels * int(header.get_data_dtype().itemsize)


def _offset(header: nibabel.Nifti1Header) -> int:
    least = int(header.sizeof_hdr) if header.is_single else 0
    return max(int(header["vox_offset"]), least)


def _cut_voxels(content: bytes | Bytes, header: nibabel.Nifti1Header) -> npt.NDArray[Any]:
    wanted = _size_in_bytes(header)
    if len(content) < wanted:
        raise ScanError(Rule.TRUNCATED, f"ends early ({len(content)} of {wanted} bytes)")
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    count = int(np.prod(shape, dtype=np.int64))
    flat = np.frombuffer(content, dtype, count, offset=_offset(header))
    return flat.reshape(shape, order="F")
