"""The student: a 2D or 3D EfficientNet with a light decoder, in one file.

The file is copied into shared bundles, so it may import torch and MONAI and nothing of ours.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn

CHANNEL_DIVISOR = 8  # oneDNN and CUDA kernels fill their vectors with multiples of eight


class Stage(NamedTuple):
    """One scale of the encoder: `repeats` blocks, each `expansion` times wider inside."""

    channels: int
    repeats: int
    expansion: int
    depthwise: bool


# Dense convolutions where the volume is large and a depthwise one would wait for memory,
# depthwise ones where it is small and cheap (EfficientNetV2: Tan and Le 2021, section 3.2).
# The first scale is at half resolution, the last at a sixteenth: 6^3 for a window of 96^3.
STAGES = (
    Stage(channels=16, repeats=1, expansion=2, depthwise=False),
    Stage(channels=24, repeats=2, expansion=2, depthwise=False),
    Stage(channels=40, repeats=2, expansion=4, depthwise=True),
    Stage(channels=80, repeats=2, expansion=4, depthwise=True),
)


class EfficientNetStudent(nn.Module):
    """Logits `(B, out_channels, D, H, W)` from an image `(B, in_channels, D, H, W)`.

    Args:
        spatial_dims: 2 or 3.
        in_channels: modalities.
        out_channels: regions or classes.
        width: compound scaling of channels, `8 * floor(width * channels / 8 + 1/2)`, at least 8.
        depth: compound scaling of blocks, `ceil(depth * repeats)` (Tan and Le 2019, section 3.3).
        squeeze_excitation: reweigh the channels inside depthwise blocks.
        foreground_prior: expected share of foreground. The logits start at its log odds; from
            zero, a tiny student first learns to answer nothing, and may stay there.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        *,
        in_channels: int = 4,
        out_channels: int = 3,
        width: float = 1.0,
        depth: float = 1.0,
        squeeze_excitation: bool = False,
        foreground_prior: float = 0.02,
    ) -> None:
        super().__init__()
        stages = scale_stages(STAGES, width=width, depth=depth)
        channels = [stage.channels for stage in stages]
        self.multiple = 2 ** len(stages)
        self.stem = conv_unit(spatial_dims, in_channels, channels[0], kernel=3, stride=2)
        self.encoder = nn.ModuleList(
            encoder_stage(
                spatial_dims,
                before,
                stage,
                stride=1 if index == 0 else 2,
                squeeze_excitation=squeeze_excitation,
            )
            for index, (before, stage) in enumerate(
                zip([channels[0], *channels[:-1]], stages, strict=True)
            )
        )
        self.decoder = nn.ModuleList(
            RaiseBlock(spatial_dims, coarse, fine)
            for coarse, fine in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.head = Conv[Conv.CONVTRANS, spatial_dims](channels[0], out_channels, 2, stride=2)
        nn.init.constant_(self.head.bias, math.log(foreground_prior / (1 - foreground_prior)))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of the image's size."""
        if not torch.jit.is_tracing():  # type: ignore[no-untyped-call]
            check_size(image, self.multiple)
        features = self.stem(image)
        maps: list[Tensor] = []
        for stage in self.encoder:
            features = stage(features)
            maps.append(features)
        for index, block in enumerate(self.decoder):
            features = block(features, maps[-2 - index])
        logits: Tensor = self.head(features)
        return logits


class InvertedBlock(nn.Module):
    """MBConv, or Fused-MBConv: widen, look around, narrow; added to the input where they fit."""

    def __init__(
        self,
        spatial_dims: int,
        before: int,
        stage: Stage,
        *,
        stride: int,
        squeeze_excitation: bool,
    ) -> None:
        super().__init__()
        wide, after = before * stage.expansion, stage.channels
        layers: list[nn.Module] = []
        if stage.depthwise:
            layers += [conv_unit(spatial_dims, before, wide, kernel=1)]
            layers += [conv_unit(spatial_dims, wide, wide, kernel=3, stride=stride, groups=wide)]
        else:
            layers += [conv_unit(spatial_dims, before, wide, kernel=3, stride=stride)]
        if squeeze_excitation and stage.depthwise:
            layers += [SqueezeExcitation(spatial_dims, wide, hidden=max(1, before // 4))]
        layers += [conv_unit(spatial_dims, wide, after, kernel=1, activation=False)]
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and before == after

    def forward(self, features: Tensor) -> Tensor:
        """Return `(B, stage.channels, ...)` at the input's size divided by the stride."""
        narrow: Tensor = self.body(features)
        return features + narrow if self.residual else narrow


class SqueezeExcitation(nn.Module):
    """Weigh each channel by a gate that sees the mean of all (Hu et al. 2018)."""

    def __init__(self, spatial_dims: int, channels: int, *, hidden: int) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        self.gate = nn.Sequential(
            Pool[Pool.ADAPTIVEAVG, spatial_dims](1),
            conv(channels, hidden, 1),
            nn.ReLU(inplace=True),
            conv(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the weighed features."""
        weighed: Tensor = features * self.gate(features)
        return weighed


class RaiseBlock(nn.Module):
    """Decoder step: narrow where it is cheap, enlarge, add the finer map, look around."""

    def __init__(self, spatial_dims: int, coarse: int, fine: int) -> None:
        super().__init__()
        self.narrow = conv_unit(spatial_dims, coarse, fine, kernel=1, activation=False)
        mode = "trilinear" if spatial_dims == 3 else "bilinear"
        self.enlarge = nn.Upsample(scale_factor=2.0, mode=mode)
        self.look = conv_unit(spatial_dims, fine, fine, kernel=3)

    def forward(self, features: Tensor, finer: Tensor) -> Tensor:
        """Return features of the finer map's size and channels."""
        raised: Tensor = self.look(self.enlarge(self.narrow(features)) + finer)
        return raised


def scale_stages(stages: Iterable[Stage], *, width: float, depth: float) -> list[Stage]:
    """Compound scaling: channels by `width` to a multiple of eight, blocks by `depth`, upwards."""
    return [
        stage._replace(
            channels=max(1, int(width * stage.channels / CHANNEL_DIVISOR + 0.5)) * CHANNEL_DIVISOR,
            repeats=math.ceil(depth * stage.repeats),
        )
        for stage in stages
    ]


def encoder_stage(
    spatial_dims: int, before: int, stage: Stage, *, stride: int, squeeze_excitation: bool
) -> nn.Sequential:
    """Stack the blocks of one scale; the first one brings the stride and the new channels."""
    starts = [before] + [stage.channels] * (stage.repeats - 1)
    return nn.Sequential(
        *(
            InvertedBlock(
                spatial_dims,
                channels,
                stage,
                stride=stride if index == 0 else 1,
                squeeze_excitation=squeeze_excitation,
            )
            for index, channels in enumerate(starts)
        )
    )


def conv_unit(
    spatial_dims: int,
    before: int,
    after: int,
    *,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    """Convolution, batch norm (which folds into it at inference), and ReLU unless told not to."""
    layers: list[nn.Module] = [
        Conv[Conv.CONV, spatial_dims](
            before,
            after,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        ),
        Norm[Norm.BATCH, spatial_dims](after),
    ]
    return nn.Sequential(*layers, *[nn.ReLU(inplace=True)] * activation)


def check_size(image: Tensor, multiple: int) -> None:
    """Raise unless every edge of the image is a multiple of what the strides divide by."""
    size = image.shape[2:]
    for edge in size:
        if edge % multiple != 0:
            raise ValueError(
                f"The image has spatial size {list(size)}; EfficientNetStudent needs every edge "
                f"to be a multiple of {multiple}: pad it, or infer by sliding windows that are."
            )
