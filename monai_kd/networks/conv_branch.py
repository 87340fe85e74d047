"""The convolution branch of the hybrid teacher: VGG16's stages, in 2D or 3D."""

from collections.abc import Sequence
from itertools import pairwise

from monai.networks.blocks.convolutions import Convolution
from monai.networks.layers.factories import Pool
from torch import Tensor, nn

# Convolutions of 3x3x3 in each stage of VGG16: Simonyan and Zisserman 2015, table 1, column D.
VGG16_CONVOLUTIONS = (2, 2, 3, 3, 3)


class ConvBranch(nn.Module):
    """A strided stem and VGG16's stages: `(B, C, D, H, W)` to one map per stage.

    Stage `s` works at `1 / 2 ** (s + 1)` of the input's resolution, because the stem halves it:
    at full resolution the first stage alone would cost more than all the others together.
    """

    def __init__(
        self, spatial_dims: int, *, in_channels: int, stage_channels: Sequence[int]
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {spatial_dims!r}, expected 2 or 3.")
        if not 0 < len(stage_channels) <= len(VGG16_CONVOLUTIONS):
            raise ValueError(
                f"stage_channels has {len(stage_channels)} stages, VGG16 has "
                f"{len(VGG16_CONVOLUTIONS)}: give 1 to {len(VGG16_CONVOLUTIONS)} numbers."
            )
        self.stem = conv_block(spatial_dims, in_channels, stage_channels[0], stride=2)
        inputs = [stage_channels[0], *stage_channels[:-1]]
        self.stages = nn.ModuleList(
            vgg_stage(spatial_dims, before, after, convolutions=count)
            for before, after, count in zip(
                inputs, stage_channels, VGG16_CONVOLUTIONS, strict=False
            )
        )
        self.pool = Pool[Pool.MAX, spatial_dims](kernel_size=2)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the map of every stage, finest first."""
        maps = [self.stages[0](self.stem(image))]
        for stage in self.stages[1:]:
            maps.append(stage(self.pool(maps[-1])))
        return maps


def vgg_stage(spatial_dims: int, before: int, after: int, *, convolutions: int) -> nn.Sequential:
    """Stack convolutions of 3x3x3; the first changes the number of channels."""
    channels = [before] + [after] * convolutions
    return nn.Sequential(*(conv_block(spatial_dims, *pair) for pair in pairwise(channels)))


def conv_block(spatial_dims: int, before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    """Convolution of 3x3x3, batch norm, ReLU, at the input's size divided by the stride."""
    block: nn.Sequential = Convolution(
        spatial_dims,
        before,
        after,
        strides=stride,
        norm="batch",
        act=("relu", {"inplace": True}),
        bias=False,
    )
    return block
