"""From the maps of all scales to logits, of every voxel or of the whole image."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from monai_kd.networks.conv_branch import conv_block
from monai_kd.networks.vit_branch import resize

# Expected share of foreground. The logits start at its log odds, so that training does not begin
# by unlearning half a volume of false foreground.
FOREGROUND_PRIOR = 0.02


class SegmentationDecoder(nn.Module):
    """Climb from the coarsest map to the finest, and decide at the input's size.

    In training mode with deep supervision the answer is a list of logits, finest first; the
    `k`-th coarser ones lie at `1 / 2 ** k` of the input's resolution. In evaluation mode it is the
    finest alone, and the others are not computed.

    Args:
        spatial_dims: 2 or 3.
        in_channels: modalities of the image.
        stage_channels: channels of the maps, finest (half resolution) first.
        out_channels: regions or classes.
        deep_supervision: how many coarser scales get logits of their own, at most all.
    """

    def __init__(
        self,
        spatial_dims: int,
        *,
        in_channels: int,
        stage_channels: Sequence[int],
        out_channels: int,
        deep_supervision: int = 0,
    ) -> None:
        super().__init__()
        _check_deep_supervision(deep_supervision, most=len(stage_channels))
        pairs = list(pairwise(reversed(stage_channels)))
        self.narrow = nn.ModuleList(
            Conv[Conv.CONV, spatial_dims](coarse, fine, kernel_size=1) for coarse, fine in pairs
        )
        self.mix = nn.ModuleList(conv_block(spatial_dims, fine, fine) for _, fine in pairs)
        self.head = FullResolutionHead(
            spatial_dims,
            in_channels=in_channels,
            channels=stage_channels[0],
            out_channels=out_channels,
        )
        self.coarse_heads = nn.ModuleList(
            start_at_prior(Conv[Conv.CONV, spatial_dims](channels, out_channels, kernel_size=1))
            for channels in stage_channels[:deep_supervision]
        )

    def forward(self, maps: list[Tensor], image: Tensor) -> Tensor | list[Tensor]:
        """Return logits of the image's size, and in training the coarser ones behind them."""
        decoded = self._climb(maps)
        logits: Tensor = self.head(decoded[0], image)
        if not (self.training and self.coarse_heads):
            return logits
        levels = zip(self.coarse_heads, decoded, strict=False)
        return [logits, *(head(level) for head, level in levels)]

    def _climb(self, maps: list[Tensor]) -> list[Tensor]:
        """Decode each scale with the help of the coarser one; finest first."""
        decoded = [maps[-1]]
        for narrow, mix, fine in zip(self.narrow, self.mix, maps[-2::-1], strict=True):
            decoded.insert(0, mix(resize(narrow(decoded[0]), fine.shape[2:]) + fine))
        return decoded


class ClassificationDecoder(nn.Module):
    """Logits `(B, out_channels)` from the mean of every map: a linear layer over all scales."""

    def __init__(self, *, stage_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.logits = nn.Linear(sum(stage_channels), out_channels)

    def forward(self, maps: list[Tensor], image: Tensor) -> Tensor:
        """Pool the maps and decide; the image itself has nothing to add."""
        pooled = torch.cat([level.flatten(2).mean(dim=2) for level in maps], dim=1)
        logits: Tensor = self.logits(pooled)
        return logits


class FullResolutionHead(nn.Module):
    """Logits at the input's size, computed at half resolution.

    Thin rims would be lost at half resolution, so the image joins the features once more, its
    2x2x2 voxels unfolded into channels, and a transposed convolution folds the logits of each
    2x2x2 voxels back: detail without one convolution at full size.
    """

    def __init__(
        self, spatial_dims: int, *, in_channels: int, channels: int, out_channels: int
    ) -> None:
        super().__init__()
        detail = in_channels * 2**spatial_dims
        self.unfold = Conv[Conv.CONV, spatial_dims](in_channels, detail, kernel_size=2, stride=2)
        self.look = conv_block(spatial_dims, channels + detail, channels)
        self.logits = start_at_prior(
            Conv[Conv.CONVTRANS, spatial_dims](channels, out_channels, kernel_size=2, stride=2)
        )

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Look at features and image together, and decide for each voxel."""
        looked = self.look(torch.cat([features, self.unfold(image)], dim=1))
        logits: Tensor = self.logits(looked)
        return logits


def make_decoder(
    spatial_dims: int,
    *,
    head: str,
    in_channels: int,
    stage_channels: Sequence[int],
    out_channels: int,
    deep_supervision: int,
) -> nn.Module:
    """The decoder for a `head` of "segmentation" or "classification"."""
    if head == "segmentation":
        return SegmentationDecoder(
            spatial_dims,
            in_channels=in_channels,
            stage_channels=stage_channels,
            out_channels=out_channels,
            deep_supervision=deep_supervision,
        )
    if head != "classification":
        raise ValueError(f"head is {head!r}, expected 'segmentation' or 'classification'.")
    _check_deep_supervision(deep_supervision, most=0)
    return ClassificationDecoder(stage_channels=stage_channels, out_channels=out_channels)


def start_at_prior(convolution: nn.Module) -> nn.Module:
    """Set the bias of a layer of logits to the log odds of the foreground."""
    log_odds = math.log(FOREGROUND_PRIOR / (1 - FOREGROUND_PRIOR))
    nn.init.constant_(convolution.get_parameter("bias"), log_odds)
    return convolution


def _check_deep_supervision(levels: int, *, most: int) -> None:
    if not 0 <= levels <= most:
        raise ValueError(
            f"deep_supervision is {levels}, expected 0 to {most}: as many coarser logits as there "
            "are scales, and none from a classification head."
        )
