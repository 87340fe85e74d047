"""The decoder of the hybrid teacher: fused maps of all scales to logits at the input's size."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from monai_kd.networks.conv_branch import conv_block
from monai_kd.networks.vit_branch import resize


class Decoder(nn.Module):
    """Climb from the coarsest fused map to the finest; `(B, C, D, H, W)`, finest first."""

    def __init__(self, spatial_dims: int, *, stage_channels: Sequence[int]) -> None:
        super().__init__()
        pairs = list(pairwise(reversed(stage_channels)))
        self.narrow = nn.ModuleList(
            Conv[Conv.CONV, spatial_dims](coarse, fine, kernel_size=1) for coarse, fine in pairs
        )
        self.mix = nn.ModuleList(conv_block(spatial_dims, fine, fine) for _, fine in pairs)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return the decoded map, of the size and channels of `maps[0]`."""
        decoded = maps[-1]
        for narrow, mix, fine in zip(self.narrow, self.mix, maps[-2::-1], strict=True):
            decoded = mix(resize(narrow(decoded), fine.shape[2:]) + fine)
        return decoded


class FullResolutionHead(nn.Module):
    """Logits at the input's size, computed at half resolution without loss of detail.

    Thin rims would be lost at half resolution, so the image joins the features once more, its
    2x2x2 voxels unfolded into channels, and a transposed convolution folds the logits of each
    2x2x2 voxels back: full detail without one convolution at full size.
    """

    def __init__(
        self, spatial_dims: int, *, in_channels: int, channels: int, out_channels: int
    ) -> None:
        super().__init__()
        detail = in_channels * 2**spatial_dims
        self.unfold = Conv[Conv.CONV, spatial_dims](in_channels, detail, kernel_size=2, stride=2)
        self.look = conv_block(spatial_dims, channels + detail, channels)
        self.logits = Conv[Conv.CONVTRANS, spatial_dims](
            channels, out_channels, kernel_size=2, stride=2
        )

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Look at features and image together, and decide for each voxel."""
        looked = self.look(torch.cat([features, self.unfold(image)], dim=1))
        logits: Tensor = self.logits(looked)
        return logits
