"""The student: a 2D or 3D EfficientNet with a light decoder, in one file.

The file is copied into shared bundles, so it may import torch and MONAI and nothing of ours.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn

CHANNEL_DIVISOR = 8  # oneDNN and CUDA kernels fill their vectors with multiples of eight

# Growth per step of compound scaling, b0 to b1 to b2: each step about doubles the work in 3D, as
# depth * width**2 * resolution**3 is about 2 (Tan and Le 2019, equation 3, has resolution**2);
# after rounding channels and windows it is 1.9 on average, and 1.3 to 2.2 in single steps.
DEPTH_GROWTH, WIDTH_GROWTH, RESOLUTION_GROWTH = 1.2, 1.1, 1.11


class Stage(NamedTuple):
    """One scale of the encoder: `repeats` blocks of a kind, each `expansion` times wider inside.

    Kinds: `early`, the depthwise convolution looks before the widening, cheap where the volume is
    large; `mbconv`, it looks at the widened channels (Tan and Le 2019); `fused`, one dense
    convolution looks and widens (Tan and Le 2021).
    """

    channels: int
    repeats: int
    expansion: int
    kind: str


# Chosen by accuracy per second on a CPU: docs/networks.md has the curve. The first scale is at
# half resolution and keeps detail for the decoder; the last, at a sixteenth, makes 6^3 of 96^3.
STAGES = (
    Stage(channels=16, repeats=0, expansion=1, kind="early"),
    Stage(channels=32, repeats=2, expansion=4, kind="early"),
    Stage(channels=80, repeats=2, expansion=4, kind="early"),
    Stage(channels=160, repeats=2, expansion=4, kind="mbconv"),
)


class EfficientNetStudent(nn.Module):
    """Logits `(B, out_channels, D, H, W)` from an image `(B, in_channels, D, H, W)`.

    Args:
        spatial_dims: 2 or 3.
        in_channels: modalities.
        out_channels: regions or classes.
        variant: b0, b1, ...: compound scaling of width and depth, see `scale_compound`.
        stages: the scales of b0, finest first.
        patch_size: edge in voxels of the patches that the stem takes and the head gives back.
        head: `segmentation`, or `classification` for logits `(B, out_channels)`.
        squeeze_excitation: reweigh the channels inside `mbconv` blocks.
        foreground_prior: expected share of foreground. The logits start at its log odds; from
            zero, a tiny student first learns to answer nothing, and may stay there.
    """

    def __init__(  # noqa: PLR0913 what a network is, YAML says in one place
        self,
        spatial_dims: int = 3,
        *,
        in_channels: int = 4,
        out_channels: int = 3,
        variant: str = "b0",
        stages: Iterable[tuple[int, int, int, str]] = STAGES,
        patch_size: int = 2,
        head: str = "segmentation",
        squeeze_excitation: bool = False,
        foreground_prior: float = 0.02,
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {spatial_dims!r}, expected 2 or 3.")
        scaled = scale_stages([Stage(*stage) for stage in stages], scale_compound(variant))
        if squeeze_excitation and not any(stage.kind == "mbconv" for stage in scaled):
            raise ValueError(
                "squeeze_excitation needs a stage of the kind 'mbconv', there is none."
            )
        channels = [stage.channels for stage in scaled]
        self.multiple = patch_size * 2 ** (len(scaled) - 1)
        shrink = conv_unit(spatial_dims, in_channels, channels[0], kernel=patch_size, strided=True)
        self.encoder = nn.ModuleList()
        for index, stage in enumerate(scaled):
            if index > 0:
                shrink = conv_unit(
                    spatial_dims,
                    channels[index - 1],
                    stage.channels,
                    kernel=2,
                    strided=True,
                    activation=False,
                )
            blocks = [
                InvertedBlock(spatial_dims, stage, squeeze_excitation=squeeze_excitation)
                for _ in range(stage.repeats)
            ]
            self.encoder.append(nn.Sequential(shrink, *blocks))
        if head == "segmentation":
            bias = math.log(foreground_prior / (1 - foreground_prior))
            self.head: nn.Module = Decoder(
                spatial_dims, channels, out_channels=out_channels, patch_size=patch_size, bias=bias
            )
        elif head == "classification":
            self.head = Classifier(spatial_dims, channels[-1], out_channels)
        else:
            raise ValueError(f"head is {head!r}, expected 'segmentation' or 'classification'.")

    def forward(self, image: Tensor) -> Tensor:
        """Return logits."""
        if not torch.jit.is_tracing():  # type: ignore[no-untyped-call]
            check_size(image, self.multiple, "EfficientNetStudent")
        features = image
        maps: list[Tensor] = []
        for stage in self.encoder:
            features = stage(features)
            maps.append(features)
        logits: Tensor = self.head(maps)
        return logits


class InvertedBlock(nn.Module):
    """Widen, look around, narrow, in the order of the stage's kind; added to its input."""

    def __init__(self, spatial_dims: int, stage: Stage, *, squeeze_excitation: bool) -> None:
        super().__init__()
        narrow, wide = stage.channels, stage.channels * stage.expansion
        if stage.kind == "early":
            layers = [
                conv_unit(spatial_dims, narrow, narrow, kernel=3, depthwise=True, activation=False),
                conv_unit(spatial_dims, narrow, wide, kernel=1),
            ]
        elif stage.kind == "mbconv":
            layers = [
                conv_unit(spatial_dims, narrow, wide, kernel=1),
                conv_unit(spatial_dims, wide, wide, kernel=3, depthwise=True),
            ]
            if squeeze_excitation:
                layers += [SqueezeExcitation(spatial_dims, wide, hidden=max(1, narrow // 4))]
        elif stage.kind == "fused":
            layers = [conv_unit(spatial_dims, narrow, wide, kernel=3)]
        else:
            raise ValueError(f"kind is {stage.kind!r}, expected 'early', 'mbconv' or 'fused'.")
        layers += [conv_unit(spatial_dims, wide, narrow, kernel=1, activation=False)]
        self.body = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same size and channels."""
        changed: Tensor = features + self.body(features)
        return changed


class SqueezeExcitation(nn.Sequential):
    """Weigh each channel by a gate that sees the mean of all (Hu et al. 2018)."""

    def __init__(self, spatial_dims: int, channels: int, *, hidden: int) -> None:
        conv = Conv[Conv.CONV, spatial_dims]
        super().__init__(
            Pool[Pool.ADAPTIVEAVG, spatial_dims](1),
            conv(channels, hidden, 1),
            nn.ReLU(inplace=True),
            conv(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the weighed features."""
        gate = features
        for layer in self:
            gate = layer(gate)
        return features * gate


class Decoder(nn.Module):
    """Raise the coarsest map to the finest, joined by each map on the way, and tell the logits."""

    def __init__(
        self,
        spatial_dims: int,
        channels: Sequence[int],
        *,
        out_channels: int,
        patch_size: int,
        bias: float,
    ) -> None:
        super().__init__()
        self.raises = nn.ModuleList(
            RaiseBlock(spatial_dims, coarse, fine)
            for coarse, fine in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.logits = Conv[Conv.CONVTRANS, spatial_dims](
            channels[0], out_channels, patch_size, stride=patch_size
        )
        nn.init.constant_(self.logits.bias, bias)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return logits of the image's size from the maps of all scales, finest first."""
        features = maps[-1]
        for index, block in enumerate(self.raises):
            features = block(features, maps[-2 - index])
        logits: Tensor = self.logits(features)
        return logits


class RaiseBlock(nn.Module):
    """Decoder step: each voxel becomes a patch of 2x2x2; add the finer map, look around."""

    def __init__(self, spatial_dims: int, coarse: int, fine: int) -> None:
        super().__init__()
        self.enlarge = nn.Sequential(
            Conv[Conv.CONVTRANS, spatial_dims](coarse, fine, 2, stride=2, bias=False),
            Norm[Norm.BATCH, spatial_dims](fine),
        )
        stage = Stage(channels=fine, repeats=1, expansion=2, kind="early")
        self.look = InvertedBlock(spatial_dims, stage, squeeze_excitation=False)

    def forward(self, features: Tensor, finer: Tensor) -> Tensor:
        """Return features of the finer map's size and channels."""
        raised: Tensor = self.look(self.enlarge(features) + finer)
        return raised


class Classifier(nn.Module):
    """Logits `(B, out_channels)` from the mean of the coarsest map."""

    def __init__(self, spatial_dims: int, channels: int, out_channels: int) -> None:
        super().__init__()
        self.pool = Pool[Pool.ADAPTIVEAVG, spatial_dims](1)
        self.logits = nn.Linear(channels, out_channels)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return one row of logits per image."""
        logits: Tensor = self.logits(self.pool(maps[-1]).flatten(1))
        return logits


class Scaling(NamedTuple):
    """Factors over b0: of channels, of blocks, of the window's edge."""

    width: float
    depth: float
    resolution: float


def scale_compound(variant: str) -> Scaling:
    """Read `b0`, `b1`, ...: `growth ** step` for width, depth and resolution (Tan and Le 2019)."""
    if not isinstance(variant, str) or variant[:1] != "b" or not variant[1:].isdecimal():
        raise ValueError(f"variant is {variant!r}, expected b0, b1, b2, ...")
    step = int(variant[1:])
    return Scaling(WIDTH_GROWTH**step, DEPTH_GROWTH**step, RESOLUTION_GROWTH**step)


def scale_window(variant: str, window: Sequence[int], *, multiple: int) -> list[int]:
    """The window of a variant, from that of b0: to the nearest multiple, at least one."""
    growth = scale_compound(variant).resolution
    return [max(1, int(growth * edge / multiple + 0.5)) * multiple for edge in window]


def scale_stages(stages: Sequence[Stage], scaling: Scaling) -> list[Stage]:
    """Channels to the nearest multiple of eight, at least eight; blocks rounded upwards."""
    return [
        stage._replace(
            channels=max(1, int(scaling.width * stage.channels / CHANNEL_DIVISOR + 0.5))
            * CHANNEL_DIVISOR,
            repeats=math.ceil(scaling.depth * stage.repeats),
        )
        for stage in stages
    ]


def conv_unit(
    spatial_dims: int,
    before: int,
    after: int,
    *,
    kernel: int,
    strided: bool = False,
    depthwise: bool = False,
    activation: bool = True,
) -> nn.Sequential:
    """Convolution, batch norm (which folds into it at inference), and ReLU unless told not to.

    A strided one takes patches side by side, its stride its kernel; others keep the size.
    """
    layers: list[nn.Module] = [
        Conv[Conv.CONV, spatial_dims](
            before,
            after,
            kernel,
            stride=kernel if strided else 1,
            padding=0 if strided else kernel // 2,
            groups=before if depthwise else 1,
            bias=False,
        ),
        Norm[Norm.BATCH, spatial_dims](after),
    ]
    return nn.Sequential(*layers, *[nn.ReLU(inplace=True)] * activation)


def check_size(image: Tensor, multiple: int, network: str) -> None:
    """Raise unless every edge of the image is a multiple of what the strides divide by."""
    size = image.shape[2:]
    for edge in size:
        if edge % multiple != 0:
            raise ValueError(
                f"The image has spatial size {list(size)}; {network} needs every edge to be a "
                f"multiple of {multiple}: pad it, or infer by sliding windows that are."
            )
