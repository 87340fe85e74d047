"""Several networks, and what they see in a mirror, as one teacher."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_kd.networks.network_answer import to_network_output

LOGIT_LIMIT = 1.0e4  # half precision overflows to infinity, and the average with it


class EnsembleTeacher(nn.Module):
    """The logits of the average probability of networks and flips, frozen and in evaluation mode.

    The networks that are given are frozen themselves. For overlapping regions, with `z_i` the
    logits of `n` networks and flips,

        logit(mean_i sigmoid(z_i)) = logsumexp_i log sigmoid(z_i) - logsumexp_i log sigmoid(-z_i)

    and for exclusive classes `log mean_i softmax(z_i)`. In logarithms and in float32, so that a
    probability may round to 0 or 1 and its logit stays finite.

    Args:
        networks: any modules that map an image to logits.
        flips: spatial axes to mirror at the same time, one list for each view beside the image
            itself; `[[0], [1], [0, 1]]` makes four views.
        exclusive: average softmax over channels instead of the sigmoid of each.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        *,
        flips: Sequence[Sequence[int]] = (),
        exclusive: bool = False,
    ) -> None:
        super().__init__()
        _check_views(networks, flips)
        self.networks = nn.ModuleList(networks).requires_grad_(False)
        self.flips = [(), *map(tuple, flips)]
        self.exclusive = exclusive
        self.eval()

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Return logits as each of the networks does, in float32."""
        logits = torch.stack(
            [_ask(network, image, axes) for network in self.networks for axes in self.flips]
        )
        return average_classes(logits) if self.exclusive else average_regions(logits)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever mode is asked for."""
        return super().train(False)


def average_regions(logits: Tensor) -> Tensor:
    """Logits of the mean of `sigmoid(logits)` over the first axis."""
    inside, outside = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    return inside.logsumexp(dim=0) - outside.logsumexp(dim=0)


def average_classes(logits: Tensor) -> Tensor:
    """Logarithm of the mean of `softmax(logits)` over the first axis; channels are the third."""
    average: Tensor = logits.log_softmax(dim=2).logsumexp(dim=0)
    return average.log_softmax(dim=1)


def _ask(network: nn.Module, image: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Logits of the image flipped along spatial axes, flipped back."""
    if any(axis >= image.ndim - 2 for axis in axes):
        raise ValueError(
            f"flips has the axes {axes}, the image has the {image.ndim - 2} spatial axes 0 to "
            f"{image.ndim - 3}: drop the others"
        )
    mirror = [axis + 2 for axis in axes]
    view = image.flip(mirror)
    logits = to_network_output(network(view), view).logits.float()
    spatial = logits.ndim == image.ndim
    return (logits.flip(mirror) if spatial else logits).clamp(-LOGIT_LIMIT, LOGIT_LIMIT)


def _check_views(networks: Sequence[nn.Module], flips: Sequence[Sequence[int]]) -> None:
    if not networks:
        raise ValueError("networks is empty, expected at least one: give it a trained teacher")
    for axes in flips:
        if not axes or len({*axes}) != len(axes) or min(axes) < 0:
            raise ValueError(
                f"flips has {list(axes)}, expected lists of different spatial axes from 0 on, "
                "such as [[0], [1], [0, 1]]; the image as it is always belongs to the views"
            )
