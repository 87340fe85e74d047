"""The teacher: a VGG-style convolution branch and a ViT, joined at every scale by MSGFF."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from monai_kd.networks.conv_branch import ConvBranch
from monai_kd.networks.decoder import Decoder, FullResolutionHead
from monai_kd.networks.msgff import MultiScaleFusion
from monai_kd.networks.vit_branch import ViTBranch


class HybridTeacher(nn.Module):
    """Logits `(B, out_channels, D, H, W)` from an image `(B, in_channels, D, H, W)`.

    Args:
        spatial_dims: 2 or 3.
        in_channels: modalities.
        out_channels: regions or classes.
        stage_channels: channels of each scale, finest (half resolution) first, at most five.
        hidden_size: channels of the ViT's tokens, a multiple of 32.
        layers: transformer blocks, at least one for each scale.
        patch_size: edge of a ViT patch in voxels.
        foreground_prior: expected share of foreground; sets the bias of the logits, so that
            training does not start by unlearning half a volume of false foreground.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        *,
        in_channels: int = 4,
        out_channels: int = 3,
        stage_channels: Sequence[int] = (16, 32, 64, 128),
        hidden_size: int = 128,
        layers: int = 4,
        patch_size: int = 8,
        foreground_prior: float = 0.02,
    ) -> None:
        super().__init__()
        self.multiple = math.lcm(2 ** len(stage_channels), patch_size)
        self.conv_branch = ConvBranch(
            spatial_dims, in_channels=in_channels, stage_channels=stage_channels
        )
        self.vit_branch = ViTBranch(
            spatial_dims,
            in_channels=in_channels,
            hidden_size=hidden_size,
            layers=layers,
            patch_size=patch_size,
            taps=len(stage_channels),
        )
        self.fusion = MultiScaleFusion(
            spatial_dims,
            stage_channels=stage_channels,
            hidden_size=hidden_size,
        )
        self.decoder = Decoder(spatial_dims, stage_channels=stage_channels)
        self.head = FullResolutionHead(
            spatial_dims,
            in_channels=in_channels,
            channels=stage_channels[0],
            out_channels=out_channels,
        )
        nn.init.constant_(
            self.head.logits.bias, math.log(foreground_prior / (1 - foreground_prior))
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of the image's size."""
        self._check_size(image)
        fused = self.fusion(self.conv_branch(image), self.vit_branch(image))
        logits: Tensor = self.head(self.decoder(fused), image)
        return logits

    def _check_size(self, image: Tensor) -> None:
        size = tuple(image.shape[2:])
        if any(edge % self.multiple for edge in size):
            raise ValueError(
                f"The image has spatial size {size}; HybridTeacher needs every edge to be a "
                f"multiple of {self.multiple}: pad it, or infer by sliding windows of such a size."
            )
