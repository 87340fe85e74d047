"""The hybrid teacher without its ViT branch and MSGFF: what the convolutions do alone."""

from collections.abc import Sequence

from torch import Tensor, nn

from monai_kd.networks.conv_branch import ConvBranch
from monai_kd.networks.decoder import make_decoder
from monai_kd.networks.efficientnet_student import check_size


class ConvTeacher(nn.Module):
    """Logits `(B, out_channels, D, H, W)` from an image `(B, in_channels, D, H, W)`.

    The convolution branch and the decoder are those of `HybridTeacher`, with the same keys in the
    state dict.

    Args:
        spatial_dims: 2 or 3.
        in_channels: modalities.
        out_channels: regions or classes.
        stage_channels: channels of each scale, finest (half resolution) first, at most five.
        head: "segmentation", or "classification" for logits `(B, out_channels)`.
        deep_supervision: how many coarser scales answer too in training mode; the answer is then
            a list of logits, finest first.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        *,
        in_channels: int = 4,
        out_channels: int = 3,
        stage_channels: Sequence[int] = (16, 32, 64, 128),
        head: str = "segmentation",
        deep_supervision: int = 0,
    ) -> None:
        super().__init__()
        self.multiple = 2 ** len(stage_channels)
        self.conv_branch = ConvBranch(
            spatial_dims, in_channels=in_channels, stage_channels=stage_channels
        )
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
        check_size(image, self.multiple, "ConvTeacher")
        logits: Tensor | list[Tensor] = self.decoder(self.conv_branch(image), image)
        return logits
