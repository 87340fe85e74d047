"""NIfTI files with wrong headers, shapes, types, values, positions and extensions."""

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from data_prep.brats.sequences import SEQUENCES
from data_prep.phantom.case import PhantomCase, make_volumes
from tests.acceptance.fuzz.mutant import Random

SIDE = 48
PHANTOMS = 4
FAVOURED = (
    "dim",
    "pixdim",
    "srow_x",
    "srow_y",
    "srow_z",
    "vox_offset",
    "datatype",
    "bitpix",
    "scl_slope",
    "scl_inter",
    "magic",
    "sform_code",
    "qform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "sizeof_hdr",
)
TYPES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304)
SHAPES: tuple[tuple[int, ...], ...] = (
    (48, 48), (48, 48, 1), (1, 48, 48), (48, 48, 48, 1), (48, 48, 24, 2), (48, 48, 12, 4),
    (48, 48, 48, 1, 1), (48, 48, 16, 1, 3), (2, 48, 48), (48, 2, 1152), (48, 96, 24),
    (16, 16, 432), (8, 8, 1728), (110592,), (48, 2304), (48, 48, 48, 1, 1, 1, 1), (9, 9, 9),
    (300, 300, 1), (48, 47, 49), (64, 64, 27),
)  # fmt: skip
FLOATS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e-45,
    1e-30,
    1e-10,
    1e-3,
    0.5,
    2.0,
    10.0,
    1e3,
    1e10,
    1e30,
    3.4e38,
    np.nan,
    np.inf,
    -np.inf,
)
INTEGERS = (
    0,
    1,
    -1,
    2,
    3,
    4,
    7,
    8,
    16,
    48,
    100,
    127,
    128,
    255,
    256,
    512,
    32767,
    -32768,
    2**31 - 1,
    -(2**31),
    2**63 - 1,
)


@dataclass
class Volume:
    """The blocks of a NIfTI file, which need not agree."""

    header: bytearray
    fields: np.dtype[Any]
    voxels: npt.NDArray[Any]
    between: bytes = bytes(4)

    @property
    def bytes(self) -> bytes:
        """As the file holds them, not compressed."""
        return bytes(self.header) + self.between + self.voxels.tobytes(order="F")

    def set(self, name: str, value: object) -> None:
        """Put a value, wrapped to the field's own type where it is too large."""
        array = np.frombuffer(self.header, self.fields, 1)
        with np.errstate(all="ignore"):
            array[name] = np.asarray(value).astype(array[name].dtype)

    def get(self, name: str) -> npt.NDArray[Any]:
        """The value of a field, to be changed in place."""
        return np.frombuffer(self.header, self.fields, 1)[name]


def make_case(random: Random) -> dict[str, Volume]:
    """The four scans of a phantom, in a random way of storing them that is right."""
    dtype = np.dtype(str(random.choice(["<i2", "<i2", "<f4", "<u2", "<i4", ">i2", "<f8"])))
    second = random.random() < 0.25
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[1, 3] = SIDE - 1
    volumes = _make_volumes(int(random.integers(PHANTOMS)))
    return {name: _store(volumes[name].astype(dtype), affine, second) for name in SEQUENCES}


@cache
def _make_volumes(number: int) -> dict[str, npt.NDArray[np.int16]]:
    return dict(make_volumes(PhantomCase(900, number, (SIDE,) * 3)))


def _store(voxels: npt.NDArray[Any], affine: npt.NDArray[Any], second: bool) -> Volume:
    order = ">" if voxels.dtype.byteorder == ">" else "<"
    header = (nibabel.Nifti2Header if second else nibabel.Nifti1Header)(endianness=order)
    header.set_data_shape(voxels.shape)
    header.set_data_dtype(voxels.dtype)
    header.set_xyzt_units("mm")
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)
    header["vox_offset"] = header.sizeof_hdr + 4
    header["scl_slope"], header["scl_inter"] = 1, 0
    if not second:
        header["magic"] = b"n+1"
    fields = header.template_dtype.newbyteorder(order)
    return Volume(bytearray(header.binaryblock), fields, voxels)


def change_fields(volume: Volume, random: Random) -> str:
    """Give one to three fields of the header other values."""
    told = []
    for _ in range(int(random.integers(1, 4))):
        names = FAVOURED if random.random() < 0.8 else tuple(volume.fields.names or ())
        name = str(random.choice([n for n in names if n in (volume.fields.names or ())]))
        told.append(f"{name} {_change_field(volume, name, random)}")
    return ", ".join(told)


def _change_field(volume: Volume, name: str, random: Random) -> str:
    dtype, offset = volume.fields.fields[name][:2]  # type: ignore[index]  # it has fields
    if dtype.base.kind == "S":
        value = random.bytes(dtype.itemsize) if random.random() < 0.7 else bytes(dtype.itemsize)
        volume.header[offset : offset + dtype.itemsize] = value
        return repr(value)
    values = np.frombuffer(volume.header, dtype.base, dtype.itemsize // dtype.base.itemsize, offset)
    value = _choose(dtype.base, values[0], random)
    place = int(random.integers(len(values)))
    where = slice(None) if random.random() < 0.2 else slice(place, place + 1)
    values[where] = value
    return f"[{where.start}:{where.stop}] {value}"


def _choose(dtype: np.dtype[Any], old: Any, random: Random) -> Any:
    """Another value, of those that break things, near the old one, or any."""
    way = random.random()
    if way < 0.15:
        return np.frombuffer(random.bytes(dtype.itemsize), dtype)[0]
    with np.errstate(all="ignore"):
        if way < 0.3:
            nudge = 1e-4 if dtype.kind == "f" else 1
            return np.array(old + random.choice([nudge, -nudge])).astype(dtype)
        if way < 0.35:
            return np.array(-old).astype(dtype)
        pool = FLOATS if dtype.kind == "f" else INTEGERS
        return np.array(pool[int(random.integers(len(pool)))]).astype(dtype)


def flip_bits(volume: Volume, random: Random) -> str:
    """Flip some bits anywhere in the header."""
    places = random.integers(0, 8 * len(volume.header), int(random.integers(1, 9)))
    for place in places.tolist():
        volume.header[place // 8] ^= 1 << place % 8
    return f"bits {places.tolist()}"


def extend(volume: Volume, random: Random) -> str:
    """Announce extensions that are there, or not, or of an impossible length."""
    size = int(random.choice([0, 8, 15, 16, 32, 64, 2**20, 2**31 - 1, -1, -(2**31)]))
    code = int(random.choice([0, 2, 4, 6, 44, -1]))
    body = random.bytes(int(random.choice([0, 8, 24, 56, 1000])))
    volume.between = bytes([1, 0, 0, 0]) + struct.pack("<ii", size, code) + body
    agrees = random.random() < 0.7
    if agrees:
        volume.set("vox_offset", len(volume.header) + len(volume.between))
    return f"extension of {size} bytes, code {code}, holds {len(body)}, offset agrees: {agrees}"


def reshape(volume: Volume, random: Random) -> str:
    """Another shape, that the voxels have as well."""
    shape = SHAPES[int(random.integers(len(SHAPES)))]
    volume.voxels = np.resize(volume.voxels.ravel(order="F"), shape)
    volume.set("dim", (len(shape), *shape, *[1] * (7 - len(shape))))
    return f"shape {shape}"


def retype(volume: Volume, random: Random) -> str:
    """Another type of voxels, that they have as well."""
    code = int(random.choice(TYPES))
    volume.set("datatype", code)
    try:
        dtype = nibabel.nifti1.data_type_codes.dtype[code]
        volume.set("bitpix", dtype.itemsize * 8)
        with np.errstate(all="ignore"):
            if dtype.names:
                coloured = np.zeros(volume.voxels.shape, dtype)
                coloured["R"] = volume.voxels % 256
                volume.voxels = coloured
            else:
                order = volume.fields["dim"].base.byteorder
                volume.voxels = volume.voxels.astype(dtype.newbyteorder(order))
    except (KeyError, TypeError, ValueError):
        pass
    return f"type {code}"


def revalue(volume: Volume, random: Random) -> str:
    """Values that no scanner gives; of a colour picture there are none."""
    if volume.voxels.dtype.kind == "V":
        return "a picture as it is"
    way = str(random.choice(["one", "all", "scaled", "slope", "negative", "few", "noise", "ends"]))
    value = FLOATS[int(random.integers(len(FLOATS)))]
    with np.errstate(all="ignore"):
        voxels = volume.voxels.copy()
        if way == "one":
            place = tuple(random.integers(0, voxels.shape))
            voxels[place] = np.array(value).astype(voxels.dtype)
        elif way == "all":
            voxels[...] = np.array(value).astype(voxels.dtype)
        elif way == "scaled":
            voxels = (voxels * value).astype(voxels.dtype)
        elif way == "slope":
            volume.set("scl_slope", value)
            volume.set("scl_inter", FLOATS[int(random.integers(len(FLOATS)))])
        elif way == "negative":
            voxels = (-voxels).astype(voxels.dtype)
        elif way == "few":
            voxels = np.where(random.random(voxels.shape) < 1e-4, voxels, 0).astype(voxels.dtype)
        elif way == "noise":
            raw = random.bytes(voxels.nbytes)
            voxels = np.frombuffer(raw, voxels.dtype).reshape(voxels.shape)
        else:
            limits = np.iinfo if voxels.dtype.kind in "iu" else np.finfo
            voxels[:5] = limits(voxels.dtype).max
            voxels[5:9] = limits(voxels.dtype).min
        volume.voxels = voxels
    return f"values {way} {value}"


def replace_position(volume: Volume, random: Random) -> str:
    """Another affine: turned, sheared, of other spacing, far away."""
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    axes = turn if random.random() < 0.5 else np.eye(3)[random.permutation(3)]
    low, high = (-4.0, 4.0) if random.random() < 0.3 else (-0.7, 0.7)
    matrix = axes * 10 ** random.uniform(low, high, 3 if random.random() < 0.5 else 1)
    if random.random() < 0.3:
        matrix = matrix @ (np.eye(3) + random.normal(size=(3, 3)) * random.choice([1e-3, 0.1, 1]))
    shift = random.normal(size=3) * random.choice([0, 1, 100, 1e6, 1e30])
    for name, row, offset in zip(("srow_x", "srow_y", "srow_z"), matrix, shift, strict=True):
        volume.set(name, (*row, offset))
    codes = random.integers(0, 5, 2)
    volume.set("sform_code", codes[0])
    volume.set("qform_code", codes[1])
    spacing = np.linalg.norm(matrix, axis=0)
    volume.get("pixdim")[0, 1:4] = spacing if random.random() < 0.7 else random.uniform(-9, 9, 3)
    return f"affine {matrix.round(4).tolist()} {shift.round(1).tolist()}, codes {codes.tolist()}"


WAYS = (
    change_fields,
    change_fields,
    change_fields,
    flip_bits,
    extend,
    reshape,
    retype,
    revalue,
    replace_position,
    replace_position,
)
