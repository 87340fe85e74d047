"""Logits on disk, found again by the image that they belong to."""

import zlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import blosc2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from monai_kd.files import replace_file

Keep = Literal["float16", "uint8"]
HALF_LIMIT = float(np.finfo(np.float16).max)


class ViewBankError(ValueError):
    """A bank that cannot be filled or read as it is; the message says how to mend it."""


@dataclass(frozen=True)
class LogitStore:
    """A folder of compressed logits, named by the hash of their image; each ends in a CRC-32.

    `float16` keeps the logits `z` themselves. `uint8` keeps `q = round(255 sigmoid(z / T))` and
    reads `T logit(q / 255)`, with `q` held half a step from both ends: logits beyond `6.2 T` are
    cut off there.
    """

    folder: Path
    keep: Keep = "float16"
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if self.keep not in get_args(Keep):
            raise ValueError(f"keep is {self.keep!r}, expected one of {', '.join(get_args(Keep))}")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}, expected more than 0")

    def find(self, image: Tensor) -> Path:
        """Where the logits of this image lie, if they are there."""
        return self.folder / f"{hash_tensor(image)}.b2nd"

    def write(self, path: Path, logits: Tensor) -> None:
        """Store logits whole, or not at all."""
        encoded = _encode(logits.detach().float().cpu(), self.keep, self.temperature)
        content = _compress(encoded)
        with replace_file(path) as temporary:
            temporary.write_bytes(content + _sum(content))

    def read(self, path: Path) -> Tensor:
        """Return the logits in float32."""
        content = path.read_bytes()
        content, checksum = content[:-4], content[-4:]
        if _sum(content) != checksum:
            raise ViewBankError(f"{path} is damaged: delete it and fill the bank again")
        stored = blosc2.ndarray_from_cframe(content)[...]
        return torch.from_numpy(_decode(stored, self.keep, self.temperature))


def hash_tensor(values: Tensor) -> str:
    """Hash of type, shape and bytes, in hexadecimal; processors have instructions for this one."""
    array = np.ascontiguousarray(values.detach().cpu().numpy())
    digest = sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(array.data)
    return digest.hexdigest()[:32]


def _encode(logits: Tensor, keep: Keep, temperature: float) -> npt.NDArray[Any]:
    if keep == "float16":
        return np.asarray(logits.clamp(-HALF_LIMIT, HALF_LIMIT).half().numpy())
    return np.asarray((255 * torch.sigmoid(logits / temperature)).round().byte().numpy())


def _decode(stored: npt.NDArray[Any], keep: Keep, temperature: float) -> npt.NDArray[np.float32]:
    """In NumPy: torch starts its threads for it, which took 12 ms on a busy machine."""
    if keep == "float16":
        return stored.astype(np.float32)
    probability = np.clip(np.arange(256) / 255, 0.5 / 255, 1 - 0.5 / 255)
    table = temperature * np.log(probability / (1 - probability))
    return np.asarray(table.astype(np.float32)[stored])


def _sum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")


def _compress(array: npt.NDArray[Any]) -> bytes:
    parameters = {
        "codec": blosc2.Codec.ZSTD,
        "clevel": 2,
        "filters": [blosc2.Filter.SHUFFLE],
        "nthreads": 1,
    }
    content: bytes = blosc2.asarray(np.ascontiguousarray(array), cparams=parameters).to_cframe()
    return content
