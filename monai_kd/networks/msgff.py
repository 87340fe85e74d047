"""Multi-scale geometric feature fusion: joins the teacher's two branches at every scale."""

from collections.abc import Sequence

import torch
from einops import rearrange
from monai.networks.layers.factories import Conv
from torch import Tensor, nn
from torch.nn import functional

from monai_kd.networks.conv_branch import conv_block
from monai_kd.networks.vit_branch import HEAD_CHANNELS, resize


class MultiScaleFusion(nn.Module):
    """MSGFF: `fused_s = gate_s * (local_s + spread_s(cross_scale_s))` for each scale `s`.

    Local: convolutions over the concatenated CNN and ViT features of one scale.
    Cross-scale: multi-head attention between the tokens of all scales on a common coarse grid.
    Gates: adaptive scaling, weights over scales computed from the input, one on average.
    Maps are `(B, C, D, H, W)` or `(B, C, H, W)`, finest scale first.
    """

    def __init__(
        self, spatial_dims: int, *, stage_channels: Sequence[int], hidden_size: int
    ) -> None:
        super().__init__()
        self.local = nn.ModuleList(
            LocalFusion(spatial_dims, channels=channels, hidden_size=hidden_size)
            for channels in stage_channels
        )
        self.cross_scale = CrossScaleAttention(
            spatial_dims, stage_channels=stage_channels, token_channels=hidden_size
        )
        self.gates = ScaleGates(hidden_size, scales=len(stage_channels))
        self.spread = nn.ModuleList(
            entry(spatial_dims, hidden_size, channels) for channels in stage_channels
        )

    def forward(self, conv_maps: list[Tensor], vit_maps: list[Tensor]) -> list[Tensor]:
        """Fuse both branches; each fused map has the size and channels of its CNN map."""
        local = [fuse(*maps) for fuse, *maps in zip(self.local, conv_maps, vit_maps, strict=True)]
        coarse = self.cross_scale(local)
        gates = self.gates(coarse)
        return [
            _broadcast(gates[:, scale], fine) * (fine + resize(spread(tokens), fine.shape[2:]))
            for scale, (fine, spread, tokens) in enumerate(
                zip(local, self.spread, coarse.unbind(1), strict=True)
            )
        ]


class LocalFusion(nn.Module):
    """Local geometry at one scale: 3x3x3 over the concatenated CNN and ViT features."""

    def __init__(self, spatial_dims: int, *, channels: int, hidden_size: int) -> None:
        super().__init__()
        self.narrow = entry(spatial_dims, hidden_size, channels)
        self.mix = conv_block(spatial_dims, 2 * channels, channels)

    def forward(self, conv_map: Tensor, vit_map: Tensor) -> Tensor:
        """Bring the ViT features to the CNN map's size and mix both."""
        vit_map = resize(self.narrow(vit_map), conv_map.shape[2:])
        mixed: Tensor = self.mix(torch.cat([conv_map, vit_map], dim=1))
        return mixed


class CrossScaleAttention(nn.Module):
    """The tokens of all `S` scales, pooled to the coarsest grid, attend to each other.

    Returns `(B, S, token_channels, D', H', W')`: one coarse volume per scale.
    """

    def __init__(
        self, spatial_dims: int, *, stage_channels: Sequence[int], token_channels: int
    ) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            Conv[Conv.CONV, spatial_dims](channels, token_channels, kernel_size=1)
            for channels in stage_channels
        )
        self.scale_embedding = nn.Parameter(torch.empty(len(stage_channels), 1, token_channels))
        nn.init.trunc_normal_(self.scale_embedding, std=0.02)
        self.norm = nn.LayerNorm(token_channels)
        self.attention = nn.MultiheadAttention(
            token_channels, num_heads=token_channels // HEAD_CHANNELS, batch_first=True
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Pool, attend, and give the tokens back as volumes."""
        grid = maps[-1].shape[2:]
        pooled = [
            project(pool_to(fine, grid)) for project, fine in zip(self.project, maps, strict=True)
        ]
        volumes = torch.stack(pooled, dim=1)
        tokens = rearrange(volumes, "b s c ... -> b s (...) c") + self.scale_embedding
        tokens = rearrange(tokens, "b s n c -> b (s n) c")
        query = self.norm(tokens)
        tokens = tokens + self.attention(query, query, query, need_weights=False)[0]
        tokens = rearrange(tokens, "b (s n) c -> b s c n", s=len(maps))
        attended: Tensor = tokens.reshape(volumes.shape)
        return attended


class ScaleGates(nn.Module):
    """Adaptive scaling: weights `(B, S)` over scales, from the mean token of each; mean one."""

    def __init__(self, token_channels: int, *, scales: int) -> None:
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(scales * token_channels, token_channels),
            nn.ReLU(inplace=True),
            nn.Linear(token_channels, scales),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Weigh the scales of `tokens (B, S, C, D', H', W')`."""
        summary = tokens.flatten(3).mean(dim=3).flatten(1)
        gates: Tensor = tokens.shape[1] * self.score(summary).softmax(dim=1)
        return gates


def entry(spatial_dims: int, before: int, after: int) -> nn.Module:
    """Projection of 1x1x1 by which tokens enter the convolutions, quietly at first.

    At a tenth of the usual weights the convolutions learn undisturbed while the tokens are still
    noise; at zero no gradient would reach the branch that makes them.
    """
    projection: nn.Module = Conv[Conv.CONV, spatial_dims](before, after, kernel_size=1)
    with torch.no_grad():
        projection.get_parameter("weight").mul_(0.1)
    return projection


def pool_to(volume: Tensor, grid: torch.Size) -> Tensor:
    """Average `(B, C, D, H, W)` or `(B, C, H, W)` over equal cells to a coarser grid."""
    kernel = [fine // coarse for fine, coarse in zip(volume.shape[2:], grid, strict=True)]
    pool = functional.avg_pool3d if len(grid) == 3 else functional.avg_pool2d
    return pool(volume, kernel)


def _broadcast(gate: Tensor, volume: Tensor) -> Tensor:
    return gate.reshape(-1, *[1] * (volume.ndim - 1))
