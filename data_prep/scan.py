"""One NIfTI file, read to its last byte, and trusted in nothing."""

import hashlib
import os
import stat
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from isal import igzip_lib, isal_zlib
from nibabel.spatialimages import HeaderDataError

from data_prep.errors import DatasetError
from data_prep.rules import Rule

MAX_VOXELS = 2**29  # in all channels; the decathlon's largest has 512 x 512 x 1026
MAX_BYTES = 8 * 2**30  # of a file, before it is looked into
BOMB_BYTES, BOMB_RATIO = 2**30, 200  # scans that large never shrink that much
MAX_OFFSET = 2**26  # of the first voxel: what lies between are extensions of the header
_GZIP = b"\x1f\x8b"
_HEADERS = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
_HEADER_BYTES = max(_HEADERS)
_MAGICS = (b"n+1", b"n+2")


class ScanError(DatasetError):
    """A file that cannot be read as a scan: the rule it breaks, and what was seen."""

    def __init__(self, rule: Rule, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule


@dataclass(frozen=True, eq=False)
class Scan:
    """Voxels as they are stored (x, y, z and, in 4D, channel), header, and hash of the file."""

    voxels: npt.NDArray[Any]
    header: nibabel.Nifti1Header
    sha256: str
    plain_as_gzip: bool = False

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """From voxel indices to mm: sform, else qform, else the voxel size alone; NaN if broken."""
        if self.header["sform_code"] > 0:
            return np.asarray(self.header.get_sform(), dtype=np.float64)
        if self.header["qform_code"] > 0:
            return self.qform
        return np.asarray(self.header.get_base_affine(), dtype=np.float64)

    @property
    def qform(self) -> npt.NDArray[np.float64]:
        """From voxel indices to mm by the quaternion, which takes no sign of the voxel size."""
        header = self.header.copy()
        header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
        try:
            return np.asarray(header.get_qform(), dtype=np.float64)
        except (HeaderDataError, ValueError):
            return np.full((4, 4), np.nan)

    @cached_property
    def values(self) -> npt.NDArray[Any]:
        """Stored voxels, scaled where the header says so; in native byte order."""
        slope, intercept = self.header.get_slope_inter()
        native = self.voxels.astype(self.voxels.dtype.newbyteorder("="), copy=False)
        if slope is None or (slope == 1 and intercept == 0):
            return native
        return (native * np.float64(slope) + np.float64(intercept)).astype(np.float32)

    def take_channel(self, channel: int) -> "Scan":
        """One volume of a 4D scan, under the same header and hash."""
        return replace(self, voxels=self.voxels[..., channel])


def read_scan(path: str | os.PathLike[str]) -> Scan:
    """Read `path` once: hash, gzip checksum, header, voxels. Raise a ScanError at any fault."""
    content = _read_bytes(Path(path))
    compressed = content.startswith(_GZIP)
    header, body = _decompress(content) if compressed else (_parse_header(content), content)
    misnamed = not compressed and Path(path).suffix == ".gz"
    digest = hashlib.sha256(content).hexdigest()
    return Scan(_cut_voxels(body, header), header, digest, misnamed)


def _read_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise ScanError(Rule.NOT_A_FILE, "neither a file nor a link to one")
        if status.st_size > MAX_BYTES:
            raise ScanError(Rule.ABSURD_SIZE, f"a file of {status.st_size} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise ScanError(Rule.UNREADABLE, str(error.strerror)) from error
    if not content:
        raise ScanError(Rule.EMPTY_FILE, "0 bytes")
    return content


def _decompress(content: bytes) -> tuple[nibabel.Nifti1Header, bytes]:
    """Inflate to the checksum, but never more than the header has claimed."""
    try:
        start, _ = _inflate(content, _HEADER_BYTES)
        header = _parse_header(start)
        wanted = _size_in_bytes(header)
        if wanted > max(BOMB_BYTES, BOMB_RATIO * len(content)):
            raise ScanError(Rule.ABSURD_SIZE, f"{len(content)} bytes claim to be {wanted}")
        body, ended = _inflate(content, wanted + 1)
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub says less than it is
        detail = f"the compressed data is damaged ({error})"
        raise ScanError(Rule.BIT_ROT, detail) from error
    if len(body) < wanted:
        raise ScanError(Rule.TRUNCATED, f"ends early ({len(body)} of {wanted} bytes)")
    if len(body) > wanted:
        raise ScanError(Rule.TRAILING_BYTES, f"more than the {wanted} bytes that it claims")
    if not ended:
        raise ScanError(Rule.TRUNCATED, "ends before its checksum")
    return header, body


def _inflate(content: bytes, most: int) -> tuple[bytes, bool]:
    """Up to `most` bytes, of all members of a gzip file, and whether the last one has ended."""
    parts: list[bytes] = []
    left = most
    while content.startswith(_GZIP) and left > 0:
        stream = isal_zlib.decompressobj(wbits=31)
        parts.append(stream.decompress(content, left))
        left -= len(parts[-1])
        if not stream.eof:
            return b"".join(parts), False
        content = stream.unused_data
    return b"".join(parts), True


def _parse_header(content: bytes) -> nibabel.Nifti1Header:
    if content[128:132] == b"DICM":
        raise ScanError(Rule.IS_DICOM, "this is DICOM under the name of NIfTI")
    claimed = {int.from_bytes(content[:4], "little"), int.from_bytes(content[:4], "big")}
    for size, header_class in _HEADERS.items():
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
    if header["magic"].item()[:3] not in _MAGICS:
        raise ScanError(Rule.NOT_NIFTI, "Analyze, or a header whose voxels lie in another file")
    if min(shape, default=0) < 1 or dtype.itemsize == 0:
        raise ScanError(Rule.BAD_HEADER, f"shape {shape} of type {dtype} has no voxels")
    if np.prod(shape, dtype=np.float64) > MAX_VOXELS:
        raise ScanError(Rule.ABSURD_SIZE, f"claims {' x '.join(map(str, shape))} voxels")
    if not 0 <= offset <= MAX_OFFSET:
        raise ScanError(Rule.BAD_HEADER, f"voxels begin at byte {offset}")
    return header


def _size_in_bytes(header: nibabel.Nifti1Header) -> int:
    voxels = int(np.prod(header.get_data_shape(), dtype=np.int64))
    return _offset(header) + voxels * int(header.get_data_dtype().itemsize)


def _offset(header: nibabel.Nifti1Header) -> int:
    return max(int(header.get_data_offset()), int(header.sizeof_hdr))


def _cut_voxels(content: bytes, header: nibabel.Nifti1Header) -> npt.NDArray[Any]:
    wanted = _size_in_bytes(header)
    if len(content) < wanted:
        raise ScanError(Rule.TRUNCATED, f"ends early ({len(content)} of {wanted} bytes)")
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    count = int(np.prod(shape, dtype=np.int64))
    flat = np.frombuffer(content, dtype, count, offset=_offset(header))
    return flat.reshape(shape, order="F")
