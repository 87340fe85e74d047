"""The teacher: a VGG-style convolution branch and a ViT, joined at every scale by MSGFF."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from monai_kd.networks.conv_branch import ConvBranch
from monai_kd.networks.decoder import make_decoder
from monai_kd.networks.efficientnet_student import check_size
from monai_kd.networks.msgff import MultiScaleFusion
from monai_kd.networks.vit_branch import ViTBranch


class HybridTeacher(nn.Module):
    """Logits `(B, out_channels, D, H, W)` from an image `(B, in_channels, D, H, W)`.

    The defaults are the small configuration, 4 million parameters. The full one, 100 million, has
    `stage_channels=(64, 128, 256, 512), hidden_size=576, layers=12, patch_size=16`.

    Args:
        spatial_dims: 2 or 3.
        in_channels: modalities.
        out_channels: regions or classes.
        stage_channels: channels of each scale, finest (half resolution) first, at most five.
        hidden_size: channels of the ViT's tokens, a multiple of 32.
        layers: transformer blocks, at least one for each scale.
        patch_size: edge of a ViT patch in voxels.
        fusion: makes the module that joins the branches, called as `fusion(spatial_dims,
            stage_channels=..., hidden_size=...)`; `PlainFusion` is the ablation.
        head: "segmentation", or "classification" for logits `(B, out_channels)`.
        deep_supervision: how many coarser scales answer too in training mode; the answer is then
            a list of logits, finest first.
    """

    def __init__(  # noqa: PLR0913  (a number of a recipe each)
        self,
        spatial_dims: int = 3,
        *,
        in_channels: int = 4,
        out_channels: int = 3,
        stage_channels: Sequence[int] = (16, 32, 64, 128),
        hidden_size: int = 128,
        layers: int = 4,
        patch_size: int = 8,
        fusion: Callable[..., nn.Module] = MultiScaleFusion,
        head: str = "segmentation",
        deep_supervision: int = 0,
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
        self.fusion = fusion(spatial_dims, stage_channels=stage_channels, hidden_size=hidden_size)
        self.decoder = make_decoder(
            spatial_dims,
            head=head,
            in_channels=in_channels,
            stage_channels=stage_channels,
            out_channels=out_channels,
            deep_supervision=deep_supervision,
        )

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Return logits of the image's size, or of the whole image; see `deep_supervision`."""
        check_size(image, self.multiple, "HybridTeacher")
        fused = self.fusion(self.conv_branch(image), self.vit_branch(image))
        logits: Tensor | list[Tensor] = self.decoder(fused, image)
        return logits
