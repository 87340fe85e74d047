"""The teacher's branches joined without MSGFF: the ablation."""

from collections.abc import Sequence

from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from monai_kd.networks.msgff import entry
from monai_kd.networks.vit_branch import resize


class PlainFusion(nn.Module):
    """`fused_s = conv1x1x1([conv_s, vit_s])` for each scale `s`: no geometry, no other scale.

    It takes the place of `MultiScaleFusion`, with the same maps in and out, finest scale first,
    and the same name `fused.s` for the fused map of a scale.
    """

    def __init__(
        self, spatial_dims: int, *, stage_channels: Sequence[int], hidden_size: int
    ) -> None:
        super().__init__()
        self.fused = nn.ModuleList(
            PointwiseFusion(spatial_dims, channels=channels, hidden_size=hidden_size)
            for channels in stage_channels
        )

    def forward(self, conv_maps: list[Tensor], vit_maps: list[Tensor]) -> list[Tensor]:
        """Fuse both branches; each fused map has the size and channels of its CNN map."""
        return [fuse(*maps) for fuse, *maps in zip(self.fused, conv_maps, vit_maps, strict=True)]


class PointwiseFusion(nn.Module):
    """A convolution of 1x1x1 over the concatenated CNN and ViT features of one scale.

    `W [conv, vit] = W_conv conv + W_vit vit`, and what is linear in a voxel's channels may be done
    before the ViT map is enlarged, where it is small.
    """

    def __init__(self, spatial_dims: int, *, channels: int, hidden_size: int) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        self.from_conv = conv(channels, channels, kernel_size=1, bias=False)
        self.from_vit = entry(spatial_dims, hidden_size, channels)

    def forward(self, conv_map: Tensor, vit_map: Tensor) -> Tensor:
        """Bring the ViT features to the CNN map's size and mix both."""
        fused: Tensor = self.from_conv(conv_map) + resize(
            self.from_vit(vit_map), conv_map.shape[2:]
        )
        return fused
