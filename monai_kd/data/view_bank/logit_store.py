"""Logits on disk, found again by the image that they belong to."""

import zlib
from pathlib import Path
from typing import NamedTuple

import blosc2
import numpy as np
import torch
from torch import Tensor

from monai_kd.data.view_bank.hashing import hash_tensor
from monai_kd.errors import UserError
from monai_kd.files import replace_file

HALF_LIMIT = float(np.finfo(np.float16).max)


class ViewBankError(UserError):
    """A bank that cannot be filled or read as it is; the message says how to fix it."""


class LogitStore(NamedTuple):
    """A folder of compressed logits in float16, named by their image; each ends in a CRC-32."""

    folder: Path

    def find(self, image: Tensor) -> Path:
        """Where the logits of this image lie, if they are there."""
        return self.folder / f"{hash_tensor(image)}.b2nd"

    def write(self, path: Path, logits: Tensor) -> None:
        """Store logits whole, or not at all."""
        half = logits.detach().float().clamp(-HALF_LIMIT, HALF_LIMIT).half().cpu().numpy()
        parameters = {
            "codec": blosc2.Codec.ZSTD,
            "clevel": 2,
            "filters": [blosc2.Filter.SHUFFLE],
            "nthreads": 1,
        }
        content = blosc2.asarray(np.ascontiguousarray(half), cparams=parameters).to_cframe()
        with replace_file(path) as temporary:
            temporary.write_bytes(content + _sum(content))

    def read(self, path: Path) -> Tensor:
        """Return the logits in float32."""
        content = path.read_bytes()
        content, checksum = content[:-4], content[-4:]
        if _sum(content) != checksum:
            raise ViewBankError(f"{path} is damaged: delete it and fill the bank again")
        stored = blosc2.ndarray_from_cframe(content)[...]
        return torch.from_numpy(stored.astype(np.float32))  # torch would start its threads for it


def _sum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")
