"""One NIfTI file, read to its last byte, and trusted in nothing."""

import hashlib
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from isal import igzip_lib, isal_zlib
from nibabel.spatialimages import HeaderDataError

from data_prep.errors import DatasetError
from data_prep.rules import Rule

MAX_VOXELS = 512**3  # per volume; BraTS has 240 x 240 x 155
MAX_CHANNELS = 64
_GZIP = b"\x1f\x8b"
_HEADERS = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
_HEADER_BYTES = max(_HEADERS)


class ScanError(DatasetError):
    """A file that cannot be read as a scan: the rule it breaks, and what was seen."""

    def __init__(self, rule: Rule, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule


@dataclass(frozen=True)
class Scan:
    """Voxels as they are stored (x, y, z and, in 4D, channel), header, and hash of the file."""

    voxels: npt.NDArray[Any]
    header: nibabel.Nifti1Header
    sha256: str
    plain_as_gzip: bool = False

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """From voxel indices to mm: the sform where it is set, else the qform."""
        return np.asarray(self.header.get_best_affine(), dtype=np.float64)

    @property
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
    if not content.startswith(_GZIP):
        header = _parse_header(content)
        voxels = _cut_voxels(content, header)
        named_gzip = Path(path).suffix == ".gz"
    else:
        header, body = _decompress(content)
        voxels = _cut_voxels(body, header)
        named_gzip = False
    return Scan(voxels, header, hashlib.sha256(content).hexdigest(), named_gzip)


def _read_bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise ScanError(Rule.NOT_A_FILE, "neither a file nor a link to one")
        content = path.read_bytes()
    except OSError as error:
        raise ScanError(Rule.UNREADABLE, str(error.strerror)) from error
    if not content:
        raise ScanError(Rule.EMPTY_FILE, "0 bytes")
    return content


def _decompress(content: bytes) -> tuple[nibabel.Nifti1Header, bytes]:
    """Inflate to the checksum, but never more than the header has claimed."""
    stream = isal_zlib.decompressobj(wbits=31)
    try:
        start = stream.decompress(content, _HEADER_BYTES)
        header = _parse_header(start)
        wanted = _size_in_bytes(header)
        body = start + stream.decompress(stream.unconsumed_tail, max(wanted - len(start), 0) + 1)
    except igzip_lib.IsalError as error:
        rule = Rule.BIT_ROT
        raise ScanError(rule, f"the compressed data is damaged ({error})") from error
    if len(body) < wanted and not stream.eof:
        raise ScanError(Rule.TRUNCATED, f"ends early ({len(body)} of {wanted} bytes)")
    if len(body) > wanted or not stream.eof:
        raise ScanError(Rule.TRAILING_BYTES, f"more than the {wanted} bytes that it claims")
    return header, body


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
    except (HeaderDataError, ValueError, KeyError) as error:
        raise ScanError(Rule.BAD_HEADER, f"header cannot be understood ({error})") from error
    if min(shape, default=0) < 1:
        raise ScanError(Rule.BAD_HEADER, f"shape {shape} has no voxels")
    volume = int(np.prod(shape[:3], dtype=np.float64))
    channels = int(np.prod(shape[3:], dtype=np.float64))
    if volume > MAX_VOXELS or channels > MAX_CHANNELS or dtype.itemsize == 0:
        raise ScanError(Rule.ABSURD_SIZE, f"claims {' x '.join(map(str, shape))} voxels")
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
