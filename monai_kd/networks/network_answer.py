"""What networks of all kinds answer, in one form: the way into `NetworkOutput` and back out."""

from torch import Tensor

from monai_kd.outputs import NetworkOutput

DEEP = "deep"  # features "deep.1", "deep.2", ...: logits of coarser levels, finer first


def to_network_output(answer: object, image: Tensor) -> NetworkOutput:
    """Tell logits from deep supervision, whatever form a network gives them.

    - A tensor is the logits.
    - A list is logits of all levels, finest first, as MONAI's SegResNetDS gives them.
    - A tensor `(B, levels, C, D, H, W)`, one axis more than the image, is the same in one piece,
      as MONAI's DynUNet gives it.
    - A tuple is the logits and side results, which are left out: MONAI's ViT gives hidden states,
      SegResNetVAE a loss.
    - A `NetworkOutput`, from a `TappedNetwork`, stays as it is.
    """
    if isinstance(answer, NetworkOutput):
        return answer
    if isinstance(answer, tuple) and answer:
        answer = answer[0]
    if isinstance(answer, Tensor):
        levels = list(answer.unbind(1)) if answer.ndim > image.ndim else [answer]
    else:
        levels = _check_levels(answer)
    deep = {f"{DEEP}.{level}": logits for level, logits in enumerate(levels[1:], start=1)}
    return NetworkOutput(levels[0], deep)


def list_levels(output: NetworkOutput) -> list[Tensor]:
    """The logits of all levels, finest first: one, if there was no deep supervision."""
    levels = [output.logits]
    while (name := f"{DEEP}.{len(levels)}") in output.features:
        levels.append(output.features[name])
    return levels


def _check_levels(answer: object) -> list[Tensor]:
    if not isinstance(answer, list) or not answer:
        raise TypeError(
            f"the network answered with {type(answer).__name__}, expected logits, a list of "
            "logits of all levels, or a tuple that starts with logits: wrap it in a module that "
            "gives one of these"
        )
    for level in answer:
        if not isinstance(level, Tensor):
            raise TypeError(
                f"the network answered with a list of {type(level).__name__}, expected logits of "
                "all levels, finest first: side results belong into a tuple"
            )
    return answer
