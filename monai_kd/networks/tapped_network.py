"""Any network, with its inner features as outputs."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from monai_kd.networks.network_answer import to_network_output
from monai_kd.outputs import NetworkOutput


class TappedNetwork(nn.Module):
    """Runs a network and returns its logits together with what some of its modules put out.

    Hooks are opened and closed within `forward`, and nothing is kept on the module. The network
    stays itself: `tapped.network` is the module that was given, with its own state dict, so save
    and load that one.

    A feature has the name of its tap. A module that puts out several tensors gives one feature
    for each, "vit.0", "vit.1.0", "vit.1.1", by their places. An output that is changed in place
    later is an error, except within `torch.inference_mode`, where torch cannot tell.

    Args:
        network: maps an image `(B, C, D, H, W)` to an answer that `to_network_output` knows.
        taps: names of modules, as in `network.named_modules()`.
    """

    def __init__(self, network: nn.Module, *, taps: Sequence[str] = ()) -> None:
        super().__init__()
        _check_taps(network, taps)
        self.network = network
        if hasattr(network, "multiple"):
            self.multiple = network.multiple
        self.taps = tuple(dict.fromkeys(taps))

    def forward(self, image: Tensor) -> NetworkOutput:
        """Return logits, deep ones as features "deep.1", ..., and the tapped features."""
        catches: dict[str, list[Catch]] = {tap: [] for tap in self.taps}
        with ExitStack() as hooks:
            for tap, catch in catches.items():
                module = self.network.get_submodule(tap)
                hooks.enter_context(module.register_forward_hook(partial(_catch, catch)))
            output = to_network_output(self.network(image), image)
        features = {
            name: tensor for tap, catch in catches.items() for name, tensor in _read(tap, catch)
        }
        for tap in features.keys() & output.features.keys():
            raise RuntimeError(f"the tap {tap!r} has the name of what the network answered itself")
        return NetworkOutput(output.logits, {**output.features, **features})


class Catch(NamedTuple):
    """The tensors that a module put out, by place, each with its version at that moment."""

    tensors: Mapping[str, Tensor]
    versions: Mapping[str, int]


def _catch(catches: list[Catch], _: nn.Module, __: object, answer: object) -> None:
    tensors = dict(_list_tensors(answer))
    catches.append(Catch(tensors, {place: _version(x) for place, x in tensors.items()}))


def _list_tensors(answer: object, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """Tensors of a nested answer with their places, such as ".1.0"."""
    if isinstance(answer, Tensor):
        yield place, answer
    elif isinstance(answer, Mapping):
        for name, part in answer.items():
            yield from _list_tensors(part, f"{place}.{name}")
    elif isinstance(answer, list | tuple):
        for index, part in enumerate(answer):
            yield from _list_tensors(part, f"{place}.{index}")


def _read(tap: str, catches: list[Catch]) -> Iterator[tuple[str, Tensor]]:
    """Name the features of one tap, if it ran once and nothing touched them since."""
    if len(catches) != 1:
        raise RuntimeError(
            f"the tap {tap!r} ran {len(catches)} times in one forward, expected once: "
            + (
                "tap a module around it that runs once"
                if catches
                else "it is a container that is never called itself, or not used in this mode"
            )
        )
    tensors, versions = catches[0]
    for place, tensor in tensors.items():
        if _version(tensor) != versions[place]:
            raise RuntimeError(
                f"what the tap {tap!r} put out was then changed in place: tap the module behind "
                "it, an activation perhaps, or build the network without in-place ones"
            )
        yield tap + place, tensor


def _version(tensor: Tensor) -> int:
    """Count of changes in place; in inference mode torch keeps none."""
    return 0 if tensor.is_inference() else tensor._version


def _check_taps(network: nn.Module, taps: Sequence[str]) -> None:
    if isinstance(taps, str):
        raise ValueError(f"taps is the text {taps!r}, expected a list such as \"['encoder.3']\"")
    names = [name for name, _ in network.named_modules(remove_duplicate=False) if name]
    for tap in taps:
        if tap not in names:
            nearest = difflib.get_close_matches(tap, names, n=1, cutoff=0.0)
            raise ValueError(
                f"{type(network).__name__} has no module {tap!r}"
                + "".join(f"; the nearest is {name!r}" for name in nearest)
            )
