"""The student in torch, for CUDA and where nothing else is installed; loaded only if asked for."""

import inspect
import logging
import os
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pickle import UnpicklingError
from typing import Any

import torch

from data_prep.errors import DatasetError
from monai_kd.inference.budget import is_want_of_memory
from monai_kd.inference.runtimes.runtime import Array
from monai_kd.inference.student import FIX, Student

SMALL_EDGE = 64  # a window that a device without room for it is no use to
OURS, MONAI = "monai_kd.networks", "monai.networks.nets"
_LOGGER = logging.getLogger(__name__)


class TorchRuntime:
    """The student's own definition and weights, on the first CUDA device that works, or the CPU."""

    bytes_per_voxel = 160

    def __init__(self, student: Student, threads: int) -> None:
        self.name = f"torch {torch.__version__}"
        self.threads = threads
        torch.set_num_threads(threads)
        network = _make_network(student.network)
        network.load_state_dict(_read_weights(student))
        self._network = network.eval()
        device = _choose_cuda()
        self.note = _try(device) if device else ""
        self._move(device if device and not self.note else "cpu")

    def release(self) -> None:
        """Nothing is kept."""

    @torch.inference_mode()
    def run(self, image: Array) -> Array:
        """Return logits (K D H W); a small window that CUDA has no room for goes to the CPU."""
        try:
            return self._run(image)
        except RuntimeError as error:
            if not is_want_of_memory(error):
                raise
            if self.device == "CPU" or max(image.shape[1:]) > SMALL_EDGE:
                raise MemoryError(str(error).partition("\n")[0]) from error
        _LOGGER.warning("not enough memory on %s: the processor does the rest", self.device)
        self._move("cpu")
        return self._run(image)

    def _run(self, image: Array) -> Array:
        batch = torch.from_numpy(image)[None].to(self._device)
        logits = self._network(batch.contiguous(memory_format=torch.channels_last_3d))
        answer: Array = logits[0].float().contiguous().cpu().numpy()
        return answer

    def _move(self, device: str) -> None:
        self._device = torch.device(device)
        self.device = device.upper()
        self._network.to(self._device)
        self._network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def _make_network(definition: Mapping[str, Any]) -> torch.nn.Module:
    arguments = {name: value for name, value in definition.items() if name != "_target_"}
    network = _find_network(str(definition.get("_target_")))
    known = inspect.signature(network).parameters
    open_ended = any(one.kind is one.VAR_KEYWORD for one in known.values())
    for name, value in arguments.items():
        if not (name in known or open_ended) or not _is_plain(value):
            raise DatasetError(f"the network's {name} is no plain argument: {FIX}")
    if "pretrained" in known:  # else some of MONAI's would download weights
        arguments["pretrained"] = False
    return network(**arguments)


def _find_network(target: str) -> type[torch.nn.Module]:
    """The class of that name from our package or MONAI's, and never from the bundle.

    The scripts of a bundle are copies of ours.
    """
    package, _, name = target.rpartition(".")
    if f"{package}.".startswith((f"{OURS}.", "scripts.")):
        file = f"{OURS}.{package.rpartition('.')[2]}"
        known = package != OURS and find_spec(file) is not None
        found = getattr(import_module(file if known else OURS), name, None)
    elif f"{package}.".startswith((".", f"{MONAI}.")):  # MONAI's configurations take bare names
        found = getattr(import_module(MONAI), name, None)
    else:
        found = None
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise DatasetError(
            f"its network is {target!r}; torch runs only those of {OURS} and {MONAI}, so give a "
            "bundle with models/model.onnx"
        )
    return found


def _is_plain(value: Any) -> bool:
    """Numbers, words, lists and mappings of them; no reference and no expression of MONAI's."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return "_target_" not in value and all(map(_is_plain, value.values()))
    if isinstance(value, str):
        return not value.startswith(("$", "@", "%"))
    return value is None or isinstance(value, bool | int | float)


def _read_weights(student: Student) -> dict[str, torch.Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of foreign pickles, which are refused
            saved = torch.load(student.checkpoint, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # whose message advises to load without care
        raise DatasetError(f"{student.checkpoint} holds no plain weights: {FIX}") from error
    weights: dict[str, torch.Tensor] = saved.get("model", saved)
    return weights


def _choose_cuda() -> str | None:
    """The device that torchrun means for this process, else the first; None without CUDA."""
    if not torch.cuda.is_available():
        return None
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % max(1, torch.cuda.device_count())}"


def _try(device: str) -> str:
    """Try a convolution, as a wheel may lack the kernels of a device that it finds."""
    try:
        image = torch.zeros(1, 1, 4, 4, 4, device=device)
        torch.nn.functional.conv3d(image, image[..., :3, :3, :3]).cpu()
    except Exception as error:  # a driver, a device and a wheel each fail in their own way
        why = " ".join(str(error).split()[:12]) or type(error).__name__
        return f"CUDA is there but does not work ({why}), so the processor is used"
    return ""
