"""What a term learns to bring the student's maps into the teacher's space."""

from einops import rearrange
from monai.networks.layers.factories import Conv
from torch import Tensor, nn


class Unfitted(nn.Module):
    """Stands in the place of a projector until `Term.fit` has seen how many channels it needs."""

    def forward(self, features: Tensor) -> Tensor:
        """Stop: what the optimiser does not know would never learn."""
        raise RuntimeError(
            "a term that learns a projector was not fitted: give DistillationLoss the networks, "
            "or call fit(output) of the term before the optimiser is made"
        )


def project_channels(before: int, after: int, *, spatial_dims: int) -> nn.Module:
    """1x1x1: from `before` to `after` channels, each voxel by itself."""
    projector: nn.Module = Conv[Conv.CONV, spatial_dims](before, after, 1)
    return projector


def project_unlike(before: int, after: int, *, spatial_dims: int) -> nn.Module:
    """`project_channels` where the channels differ in number."""
    if before == after:
        return nn.Identity()
    return project_channels(before, after, spatial_dims=spatial_dims)


def project_neighbours(before: int, after: int, *, spatial_dims: int) -> nn.Module:
    """3x3x3, ReLU, 1x1x1: a regressor that sees each voxel's neighbours."""
    conv = Conv[Conv.CONV, spatial_dims]
    return nn.Sequential(conv(before, after, 3, padding=1), nn.ReLU(), conv(after, after, 1))


def project_attention(before: int, after: int, *, spatial_dims: int) -> nn.Module:
    """Queries, keys and values side by side, by a 3x3x3 convolution each."""
    projector: nn.Module = Conv[Conv.CONV, spatial_dims](before, 3 * after, 3, padding=1)
    return projector


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
        self.groups = groups
        blocks = groups**spatial_dims
        self.project = Conv[Conv.CONV, 1](blocks * before, blocks * after, 1, groups=blocks)

    def forward(self, features: Tensor) -> Tensor:
        """Project `(B, before, ...)` to `(B, after, ...)`; `groups` must divide every edge."""
        names = "def"[: features.ndim - 2]
        split = " ".join(f"({name} {name.upper()})" for name in names)  # of an axis: block, voxel
        volume = f"b c {split}"
        blocks = f"b ({' '.join(names)} c) ({' '.join(names.upper())})"  # side by side as channels
        counts = dict.fromkeys(names, self.groups)
        inner = {
            name.upper(): edge // self.groups
            for name, edge in zip(names, features.shape[2:], strict=True)
        }
        projected = self.project(rearrange(features, f"{volume} -> {blocks}", **counts))
        volumes: Tensor = rearrange(projected, f"{blocks} -> {volume}", **counts, **inner)
        return volumes
