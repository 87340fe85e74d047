"""What a term learns to bring the student's maps into the teacher's space."""

from einops import rearrange
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from monai_kd.distillation.reading import widen


class Unfitted(nn.Module):
    """Stands in the place of a projector until `Term.fit` has seen how many channels it needs."""

    def forward(self, features: Tensor) -> Tensor:
        """Stop: what the optimiser does not know would never learn."""
        raise RuntimeError(
            "a term that learns a projector was not fitted: give DistillationLoss the networks, "
            "or call fit(output) of the term before the optimiser is made"
        )


class ChannelProjector(nn.Module):
    """1x1x1: from `before` to `after` channels, each voxel by itself.

    Args:
        before: channels of the map that comes in, `(B, before, D, H, W)`.
        after: channels of the map that goes out.
        spatial_dims: 2 or 3.
    """

    def __init__(self, before: int, after: int, *, spatial_dims: int) -> None:
        super().__init__()
        _check_projection(before, after, spatial_dims)
        self.project = Conv[Conv.CONV, spatial_dims](before, after, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Project `(B, before, ...)` to `(B, after, ...)`."""
        return widen(self.project(features))


class ConvProjector(nn.Module):
    """3x3x3, ReLU, 1x1x1: a regressor that sees each voxel's neighbours.

    Args:
        before: channels of the map that comes in, `(B, before, D, H, W)`.
        after: channels of the map that goes out, and between both convolutions.
        spatial_dims: 2 or 3.
    """

    def __init__(self, before: int, after: int, *, spatial_dims: int) -> None:
        super().__init__()
        _check_projection(before, after, spatial_dims)
        conv = Conv[Conv.CONV, spatial_dims]
        self.project = nn.Sequential(
            conv(before, after, 3, padding=1), nn.ReLU(), conv(after, after, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Project `(B, before, ...)` to `(B, after, ...)`."""
        return widen(self.project(features))


class CrossAttentionProjector(nn.Module):
    """Queries, keys and values, by a 3x3x3 convolution each (Liu et al. 2022, arXiv 2207.05273).

    Args:
        before: channels of the map that comes in, `(B, before, D, H, W)`.
        after: channels of the tokens that go out.
        spatial_dims: 2 or 3.
    """

    def __init__(self, before: int, after: int, *, spatial_dims: int) -> None:
        super().__init__()
        _check_projection(before, after, spatial_dims)
        self.split = Conv[Conv.CONV, spatial_dims](before, 3 * after, 3, padding=1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give queries, keys and values, `(B, N, after)` each, of a map of `N` voxels."""
        query, key, value = rearrange(
            widen(self.split(features)), "b (qkv c) ... -> qkv b (...) c", qkv=3
        )
        return query, key, value


class GroupLinearProjector(nn.Module):
    """A linear map for each block of space, shared by the voxels of the block.

    One map for all voxels is a 1x1x1 convolution; one for each voxel knows where it is and has
    too many weights. Blocks are between both (Liu et al. 2022, arXiv 2207.05273).

    Args:
        before: channels of the map that comes in, `(B, before, D, H, W)`.
        after: channels of the map that goes out.
        groups: blocks per axis.
        spatial_dims: 2 or 3.
    """

    def __init__(self, before: int, after: int, *, groups: int, spatial_dims: int) -> None:
        super().__init__()
        _check_projection(before, after, spatial_dims)
        self.groups = groups
        self.blocks = groups**spatial_dims
        self.project = Conv[Conv.CONV, 1](
            self.blocks * before, self.blocks * after, 1, groups=self.blocks
        )

    def forward(self, features: Tensor) -> Tensor:
        """Project `(B, before, ...)` to `(B, after, ...)`; `groups` must divide every edge."""
        to_blocks, to_volume = _BLOCKS[features.ndim - 2]
        names = "def"[: features.ndim - 2]
        blocks = dict.fromkeys(names, self.groups)
        inner = {
            name.upper(): edge // self.groups
            for name, edge in zip(names, features.shape[2:], strict=True)
        }
        projected = widen(self.project(rearrange(features, to_blocks, **blocks)))
        return rearrange(projected, to_volume, **blocks, **inner)


_BLOCKS = {  # by spatial_dims: a map to its blocks side by side as channels, and back
    2: ("b c (d D) (e E) -> b (d e c) (D E)", "b (d e c) (D E) -> b c (d D) (e E)"),
    3: (
        "b c (d D) (e E) (f F) -> b (d e f c) (D E F)",
        "b (d e f c) (D E F) -> b c (d D) (e E) (f F)",
    ),
}


def _check_projection(before: int, after: int, spatial_dims: int) -> None:
    if before < 1 or after < 1:
        raise ValueError(
            f"a projector from {before} to {after} channels was asked for, expected 1 or more"
        )
    if spatial_dims not in (2, 3):
        raise ValueError(f"spatial_dims is {spatial_dims!r}, expected 2 or 3")
