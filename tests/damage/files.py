"""What happens to files on their way: cut, rotten, swollen, of another kind, or no file at all."""

import os
import zlib

import nibabel

from data_prep.rules import Rule
from tests.damage.corruption import (
    CaseFiles,
    Corruption,
    Way,
    on_bytes,
    on_header,
)
from tests.damage.nifti_files import pack, unpack

BOMB_SIDE = 900
PAGE = b"<!DOCTYPE html><html><body>Please log in to download this file.</body></html>\n" * 8


def _flip_bit(content: bytes) -> bytes:
    """Flip a bit within stored values, late in the file, so that only the checksum can tell."""
    rotten = bytearray(content)
    rotten[len(rotten) * 3 // 4] ^= 0x10
    return bytes(rotten)


def _spoil_checksum(content: bytes) -> bytes:
    return content[:-8] + bytes(byte ^ 0xFF for byte in content[-8:-4]) + content[-4:]


def _claim_shape(*shape: int) -> Way:
    def edit(header: nibabel.Nifti1Header) -> None:
        header["dim"][1 : len(shape) + 1] = shape

    return on_header(edit, "t2")


def _claim_unknown_type(header: nibabel.Nifti1Header) -> None:
    header["datatype"] = 9999


def _forget_magic(header: nibabel.Nifti1Header) -> None:
    header["magic"] = b""


def _lay_bomb(case: CaseFiles) -> None:
    """A few hundred kB that become 900^3 bytes, as the header truly says."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((BOMB_SIDE,) * 3)
    header.set_data_dtype("uint8")
    header["vox_offset"] = 352
    packer = zlib.compressobj(1, wbits=31)
    parts = [packer.compress(header.binaryblock + bytes(4))]
    parts += [packer.compress(bytes(BOMB_SIDE**2)) for _ in range(BOMB_SIDE)]
    case["t2"].write_bytes(b"".join(parts) + packer.flush())


def _hide_bomb(content: bytes) -> bytes:
    return pack(unpack(content) + bytes(2**26))


def _replace_by_pipe(case: CaseFiles) -> None:
    case["t2"].unlink()
    os.mkfifo(case["t2"])


def _replace_by_folder(case: CaseFiles) -> None:
    case["t2"].unlink()
    case["t2"].mkdir()


def _replace_by_loop(case: CaseFiles) -> None:
    case["t2"].unlink()
    case["t2"].symlink_to(case["t2"].name)


def _replace_by_dead_link(case: CaseFiles) -> None:
    case["t2"].unlink()
    case["t2"].symlink_to("moved_away.nii.gz")


WAYS = (
    Corruption(
        "truncated-gzip",
        "compressed file cut in half",
        Rule.TRUNCATED,
        on_bytes(lambda content: content[: len(content) // 2], "t2"),
    ),
    Corruption(
        "truncated-volume",
        "volume cut in half, then compressed",
        Rule.TRUNCATED,
        on_bytes(lambda content: pack(unpack(content)[: len(unpack(content)) // 2]), "t2"),
    ),
    Corruption(
        "truncated-header",
        "200 bytes of a header",
        Rule.TRUNCATED,
        on_bytes(lambda content: pack(unpack(content)[:200]), "t2"),
    ),
    Corruption("zero-bytes", "file of 0 bytes", Rule.EMPTY_FILE, on_bytes(lambda _: b"", "t2")),
    Corruption("bit-rot", "one bit flipped", Rule.BIT_ROT, on_bytes(_flip_bit, "t2")),
    Corruption("checksum", "wrong checksum", Rule.BIT_ROT, on_bytes(_spoil_checksum, "t2")),
    Corruption("web-page", "log-in page saved", Rule.NOT_NIFTI, on_bytes(lambda _: PAGE, "t2")),
    Corruption(
        "dicom",
        "DICOM renamed",
        Rule.IS_DICOM,
        on_bytes(lambda _: bytes(128) + b"DICM" + bytes(400), "t2"),
    ),
    Corruption(
        "analyze",
        "Analyze 7.5, older than NIfTI",
        Rule.NOT_NIFTI,
        on_header(_forget_magic, "t2"),
    ),
    Corruption("zero-length", "a side of 0 voxels", Rule.BAD_HEADER, _claim_shape(32, 0, 32)),
    Corruption(
        "unknown-type", "unknown voxel type", Rule.BAD_HEADER, on_header(_claim_unknown_type, "t2")
    ),
    Corruption(
        "absurd-size", "header claims 30000^3", Rule.ABSURD_SIZE, _claim_shape(*[30000] * 3)
    ),
    Corruption("gzip-bomb", "1 MB that becomes 900^3 voxels", Rule.ABSURD_SIZE, _lay_bomb),
    Corruption(
        "hidden-bomb",
        "64 MB beyond what the header claims",
        Rule.TRAILING_BYTES,
        on_bytes(_hide_bomb, "t2"),
    ),
    Corruption("named-pipe", "pipe in place of a file", Rule.NOT_A_FILE, _replace_by_pipe),
    Corruption("folder", "folder in place of a file", Rule.MISSING_MODALITY, _replace_by_folder),
    Corruption("link-loop", "link to itself", Rule.UNREADABLE, _replace_by_loop),
    Corruption("dead-link", "link to a file that is gone", Rule.UNREADABLE, _replace_by_dead_link),
    Corruption("not-compressed", "named .gz, not gzip", Rule.PLAIN_AS_GZIP, on_bytes(unpack, "t2")),
)
