"""Multi-scale geometric feature fusion: joins the teacher's two branches at every scale."""

from collections.abc import Callable, Sequence

import torch
from einops import rearrange, reduce, repeat
from monai.networks.layers.factories import Conv
from torch import Tensor, nn
from torch.nn import functional

from monai_kd.networks.conv_branch import conv_block
from monai_kd.networks.vit_branch import HEAD_CHANNELS, resize


class MultiScaleFusion(nn.Module):
    """MSGFF: `fused_s = gate_s * (local_s + spread_s(cross_scale_s))` for each scale `s`.

    Local: 3x3x3 convolutions over the joined CNN and ViT features of one scale.
    Cross-scale: multi-head attention between the tokens of all scales on a common coarse grid.
    Gates: adaptive scaling, weights over scales computed from the input, one on average.
    Maps are `(B, C, D, H, W)` or `(B, C, H, W)`, finest scale first.

    Each of the three has a submodule whose output is what it found, for a tap to see:
    `fused.s` the fused map of a scale, `cross_scale.scale_attention` how much each scale looks
    at each, `(B, S, S)`, and `gates`, `(B, S)`.

    Args:
        spatial_dims: 2 or 3.
        stage_channels: channels of the CNN maps, finest first.
        hidden_size: channels of the ViT maps, a multiple of 32.
        joining: how CNN and ViT features of a scale meet, "sum", "concatenation" or "attention".
            What other scales say is added in each of them, as any residual.
    """

    def __init__(
        self,
        spatial_dims: int,
        *,
        stage_channels: Sequence[int],
        hidden_size: int,
        joining: str = "concatenation",
    ) -> None:
        super().__init__()
        if len(stage_channels) < 2:
            raise ValueError(
                f"stage_channels is {list(stage_channels)}, expected two scales or more: one alone "
                "has nothing to be weighed against; PlainFusion joins it."
            )
        self.local = nn.ModuleList(
            LocalFusion(spatial_dims, channels=channels, hidden_size=hidden_size, joining=joining)
            for channels in stage_channels
        )
        self.cross_scale = CrossScaleAttention(
            spatial_dims, stage_channels=stage_channels, token_channels=hidden_size
        )
        self.gates = ScaleGates(hidden_size, scales=len(stage_channels))
        self.fused = nn.ModuleList(
            GatedSum(spatial_dims, channels=channels, token_channels=hidden_size)
            for channels in stage_channels
        )

    def forward(self, conv_maps: list[Tensor], vit_maps: list[Tensor]) -> list[Tensor]:
        """Fuse both branches; each fused map has the size and channels of its CNN map."""
        local = [fuse(*maps) for fuse, *maps in zip(self.local, conv_maps, vit_maps, strict=True)]
        coarse = self.cross_scale(local)
        scales = zip(self.fused, local, coarse.unbind(1), self.gates(coarse).unbind(1), strict=True)
        return [fuse(fine, tokens, gate) for fuse, fine, tokens, gate in scales]


class LocalFusion(nn.Module):
    """Local geometry at one scale: CNN and ViT features joined, and 3x3x3 over what comes of it."""

    def __init__(self, spatial_dims: int, *, channels: int, hidden_size: int, joining: str) -> None:
        super().__init__()
        joins: dict[str, Callable[[], nn.Module]] = {
            "sum": Sum,
            "concatenation": Concatenation,
            "attention": lambda: AttentionWeighting(spatial_dims, channels),
        }
        if joining not in joins:
            raise ValueError(f"joining is {joining!r}, expected one of {', '.join(joins)}.")
        self.narrow = entry(spatial_dims, hidden_size, channels)
        self.join = joins[joining]()
        joined = 2 * channels if joining == "concatenation" else channels
        self.mix = conv_block(spatial_dims, joined, channels)

    def forward(self, conv_map: Tensor, vit_map: Tensor) -> Tensor:
        """Bring the ViT features to the CNN map's size and mix both."""
        vit_map = resize(self.narrow(vit_map), conv_map.shape[2:])
        mixed: Tensor = self.mix(self.join(conv_map, vit_map))
        return mixed


class Sum(nn.Module):
    """`conv + vit`."""

    def forward(self, conv_map: Tensor, vit_map: Tensor) -> Tensor:
        """Add two maps of `C` channels."""
        return conv_map + vit_map


class Concatenation(nn.Module):
    """`[conv, vit]`."""

    def forward(self, conv_map: Tensor, vit_map: Tensor) -> Tensor:
        """Put two maps of `C` channels behind each other: `2 C` channels."""
        return torch.cat([conv_map, vit_map], dim=1)


class AttentionWeighting(nn.Module):
    """`w conv + (1 - w) vit`, a weight per voxel from 3x3x3 over both."""

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        self.weigh = Conv[Conv.CONV, spatial_dims](2 * channels, 1, kernel_size=3, padding=1)

    def forward(self, conv_map: Tensor, vit_map: Tensor) -> Tensor:
        """Weigh two maps of `C` channels against each other."""
        weight = self.weigh(torch.cat([conv_map, vit_map], dim=1)).sigmoid()
        joined: Tensor = weight * conv_map + (1 - weight) * vit_map
        return joined


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
        # No bias: that of a key shifts all its scores alike, and would never learn.
        self.split = nn.Linear(token_channels, 3 * token_channels, bias=False)
        self.merge = nn.Linear(token_channels, token_channels)
        self.scale_attention = ScaleAttention(scales=len(stage_channels))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Pool, attend, and give the tokens back as volumes."""
        volumes = self._pool(maps)
        tokens = rearrange(volumes, "b s c ... -> b s (...) c") + self.scale_embedding
        tokens = rearrange(tokens, "b s n c -> b (s n) c")
        query, key, value = rearrange(
            self.split(self.norm(tokens)), "b n (qkv h c) -> qkv b h n c", qkv=3, c=HEAD_CHANNELS
        )
        self.scale_attention(query, key)
        attended = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.merge(rearrange(attended, "b h n c -> b n (h c)"))
        tokens = rearrange(tokens, "b (s n) c -> b s c n", s=len(maps))
        coarse: Tensor = tokens.reshape(volumes.shape)
        return coarse

    def _pool(self, maps: list[Tensor]) -> Tensor:
        grid = maps[-1].shape[2:]
        return torch.stack(
            [
                project(pool_to(fine, grid))
                for project, fine in zip(self.project, maps, strict=True)
            ],
            dim=1,
        )


class ScaleAttention(nn.Module):
    """How much each scale looks at each: `(B, S, S)`, rows of queries, each with sum one.

    A row is the mean over heads and over the queries of a scale of the weight that they give to
    the keys of each scale. It is attention over one-hot values, the scale of each key, so the
    matrix of all tokens, 288 MiB for one window of 128^3 at full size, is never made.
    """

    def __init__(self, *, scales: int) -> None:
        super().__init__()
        self.scales = scales

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """Sum up the attention between `query` and `key`, both `(B, heads, S * N, channels)`."""
        scale_of_key = repeat(
            torch.eye(self.scales, key.shape[-1], dtype=key.dtype, device=key.device),
            "s c -> b h (s n) c",
            b=key.shape[0],
            h=key.shape[1],
            n=key.shape[2] // self.scales,
        )
        looks = functional.scaled_dot_product_attention(query, key, scale_of_key)
        seen: Tensor = reduce(looks, "b h (s n) c -> b s c", "mean", s=self.scales)
        return seen[..., : self.scales]


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


class GatedSum(nn.Module):
    """`gate * (fine + spread(tokens))`: the fused map of one scale."""

    def __init__(self, spatial_dims: int, *, channels: int, token_channels: int) -> None:
        super().__init__()
        self.spread = entry(spatial_dims, token_channels, channels)

    def forward(self, fine: Tensor, tokens: Tensor, gate: Tensor) -> Tensor:
        """Add coarse tokens to the fine map, and weigh the sum with a gate per case `(B,)`."""
        weight = gate.reshape(-1, *[1] * (fine.ndim - 1))
        return weight * (fine + resize(self.spread(tokens), fine.shape[2:]))


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
    # Of any size it is the same ratio: as a plain number also when the network is being traced.
    kernel = [int(fine) // int(coarse) for fine, coarse in zip(volume.shape[2:], grid, strict=True)]
    pool = functional.avg_pool3d if len(grid) == 3 else functional.avg_pool2d
    return pool(volume, kernel)
