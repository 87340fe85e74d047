"""Makes terms of different size comparable, so that their weights mean something."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class RunningMeanWeighing(nn.Module):
    """Scales each term to the running size of the first one: a weight is then a share of the loss.

    `factor_i = m_first / m_i`, with `m` the mean of a term over its first steps and an exponential
    one after `window` of them. The first term of the loss, the supervised one as a rule, keeps its
    own scale. A term of zero had nothing to compare in this batch and is not counted, nor is one
    that is not finite; one that was never counted has the factor 1.
    """

    means: Tensor
    steps: Tensor

    def __init__(self, *, window: int = 100) -> None:
        super().__init__()
        if window < 1:
            raise ValueError(f"got window={window}, expected 1 step or more")
        self.window = window
        self.cover(())

    def cover(self, names: Iterable[str]) -> None:
        """Make room for a mean of each of a loss's terms, first the one that all are scaled to."""
        self.names = tuple(names)
        self.register_buffer("means", torch.zeros(len(self.names)))
        self.register_buffer("steps", torch.zeros(len(self.names)))

    def forward(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take the values of this step into the means, and return a factor for each."""
        indices = {name: self.names.index(name) for name in values}
        if self.training:
            for name, value in values.items():
                self._count(indices[name], value.detach().abs().to(self.means))
        known = (self.steps > 0) & (self.steps[0] > 0)
        tiny = torch.finfo(self.means.dtype).eps
        factors = torch.where(known, self.means[0] / self.means.clamp(min=tiny), 1.0)
        return {name: factors[index] for name, index in indices.items()}

    def _count(self, index: int, size: Tensor) -> None:
        counts = (size > 0) & size.isfinite()
        self.steps[index] += counts
        share = counts / self.steps[index].clamp(min=1, max=self.window)
        self.means[index] = torch.where(
            counts, self.means[index].lerp(size, share), self.means[index]
        )
