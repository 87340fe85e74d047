"""The transformer branch of the hybrid teacher: a ViT whose hidden states come back as volumes."""

import torch
from monai.networks.layers.factories import Conv
from torch import Tensor, nn
from torch.nn import functional

HEAD_CHANNELS = 32
POSITION_GRID = 8


class ViTBranch(nn.Module):
    """Patch embedding and transformer blocks, hidden states tapped at several depths (UNETR).

    UNETR: Hatamizadeh et al. 2022, figure 2. `(B, C, D, H, W)` becomes `taps` volumes of tokens
    `(B, hidden_size, D / patch, H / patch, W / patch)`, shallowest first. The positions are
    learned on a grid of 8 per axis and interpolated, so the window's size is free.
    """

    def __init__(
        self,
        spatial_dims: int,
        *,
        in_channels: int,
        hidden_size: int,
        layers: int,
        patch_size: int,
        taps: int,
    ) -> None:
        super().__init__()
        _check_sizes(hidden_size, layers, taps)
        self.embed = Conv[Conv.CONV, spatial_dims](
            in_channels, hidden_size, kernel_size=patch_size, stride=patch_size
        )
        self.positions = nn.Parameter(torch.empty(1, hidden_size, *[POSITION_GRID] * spatial_dims))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.blocks = nn.ModuleList(transformer_block(hidden_size) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size) for _ in range(taps))
        self.depths = [round(layers * (tap + 1) / taps) for tap in range(taps)]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the tapped hidden states as volumes, shallowest first."""
        volume = self.embed(image)
        volume = volume + resize(self.positions, volume.shape[2:])
        tokens = volume.flatten(2).transpose(1, 2)
        states = {}
        for depth, block in enumerate(self.blocks, start=1):
            tokens = states[depth] = block(tokens)
        return [
            norm(states[depth]).transpose(1, 2).reshape(volume.shape)
            for depth, norm in zip(self.depths, self.norms, strict=True)
        ]


def transformer_block(hidden_size: int) -> nn.Module:
    """Pre-norm self-attention and MLP; MONAI's block would carry a cross-norm that never learns."""
    return nn.TransformerEncoderLayer(
        hidden_size,
        nhead=hidden_size // HEAD_CHANNELS,
        dim_feedforward=4 * hidden_size,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )


def resize(volume: Tensor, size: torch.Size) -> Tensor:
    """Interpolate `(B, C, D, H, W)` or `(B, C, H, W)` linearly to a spatial size."""
    if volume.shape[2:] == size:
        return volume
    mode = "trilinear" if len(size) == 3 else "bilinear"
    return functional.interpolate(volume, size=tuple(size), mode=mode)


def _check_sizes(hidden_size: int, layers: int, taps: int) -> None:
    if hidden_size % HEAD_CHANNELS:
        raise ValueError(
            f"hidden_size is {hidden_size}, expected a multiple of {HEAD_CHANNELS}: "
            f"a head of attention has {HEAD_CHANNELS} channels."
        )
    if layers < taps:
        raise ValueError(f"layers is {layers}, expected at least one for each of {taps} scales.")
