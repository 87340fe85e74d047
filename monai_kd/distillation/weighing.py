"""Makes terms of different size comparable, so that their weights mean something."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class Weighing(nn.Module):
    """Maps the values of terms to a factor for each; the first term is the measure of the others.

    Args:
        names: of the terms, the first one first; without them, those of the loss it is given to.
    """

    names: tuple[str, ...] = ()

    def __init__(self, names: Iterable[str] | None) -> None:
        super().__init__()
        if names is not None:
            self.set_names(names)

    def set_names(self, names: Iterable[str]) -> None:
        """Make room for what is known of each term."""
        self.names = tuple(names)
        if not self.names:
            raise ValueError("names is empty: name the terms, or leave names out to weigh them all")

    def cover(self, terms: Iterable[str]) -> None:
        """Take the names of a loss's terms, or check that they are known."""
        if not self.names:
            self.set_names(terms)
        found = list(terms)
        if not set(found) <= set(self.names) or self.names[0] not in found:
            raise ValueError(
                f"weighing has names={list(self.names)}, the loss has the terms {found}: name them "
                "all, first one that all are scaled to, or leave names out"
            )

    def find_term(self, name: str) -> int:
        """Where a term stands among those that are weighed."""
        if name not in self.names:
            raise ValueError(f"weighing knows the terms {list(self.names)}, not {name!r}: add it")
        return self.names.index(name)


class RunningMeanWeighing(Weighing):
    """Scales each term to the running size of the first one: a weight is then a share of the loss.

    `factor_i = m_first / m_i`, with `m` the mean of a term over its first steps and an exponential
    one after `window` of them. The first term, the supervised one as a rule, keeps its own scale.
    A term of zero had nothing to compare in this batch and is not counted, nor is one that is not
    finite; one that was never counted has the factor 1.
    """

    means: Tensor
    steps: Tensor

    def __init__(self, names: Iterable[str] | None = None, *, window: int = 100) -> None:
        super().__init__(names)
        if window < 1:
            raise ValueError(f"got window={window}, expected 1 step or more")
        self.window = window

    def set_names(self, names: Iterable[str]) -> None:
        """Make room for a mean of each term."""
        super().set_names(names)
        self.register_buffer("means", torch.zeros(len(self.names)))
        self.register_buffer("steps", torch.zeros(len(self.names)))

    def forward(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take the values of this step into the means, and return a factor for each."""
        indices = {name: self.find_term(name) for name in values}
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


class GradientRatioWeighing(Weighing):
    """Scales each term so that its gradient is as large as that of the first one.

    `factor_i = |grad_first| / |grad_i|`, norms over `parameters`, which the student's terms all
    reach: the student's own, or those of a late block of the decoder. Measured every `interval`
    steps, smoothed over measurements; each costs one backward pass per term. The factor is 1 until
    a term is measured; one whose gradient is zero is not, nor one that is not finite.
    """

    factors: Tensor
    measured: Tensor
    steps: Tensor

    def __init__(
        self,
        names: Iterable[str] | None = None,
        *,
        parameters: Iterable[nn.Parameter],
        interval: int = 10,
        smoothing: float = 0.9,
    ) -> None:
        super().__init__(names)
        if interval < 1 or not 0 <= smoothing < 1:
            raise ValueError(
                f"got interval={interval}, smoothing={smoothing}: interval must be 1 step or more "
                "and smoothing from 0 to below 1"
            )
        self.parameters_measured = tuple(parameters)  # a tuple: the optimiser holds them already
        self.interval = interval
        self.smoothing = smoothing
        self.register_buffer("steps", torch.zeros(()))

    def set_names(self, names: Iterable[str]) -> None:
        """Make room for a factor of each term."""
        super().set_names(names)
        self.register_buffer("factors", torch.ones(len(self.names)))
        self.register_buffer("measured", torch.zeros(len(self.names), dtype=torch.bool))

    def forward(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a factor for each term, measured anew every `interval` steps."""
        indices = {name: self.find_term(name) for name in values}
        if self.training:
            if int(self.steps) % self.interval == 0 and self.names[0] in values:
                self._measure(values)
            self.steps += 1
        factors = self.factors.clone()  # the next measurement must not reach into this graph
        return {name: factors[index] for name, index in indices.items()}

    def _measure(self, values: Mapping[str, Tensor]) -> None:
        first = self._norm(values[self.names[0]])
        for name in values.keys() - {self.names[0]}:
            index, norm = self.names.index(name), self._norm(values[name])
            if 0 < norm < math.inf and 0 < first < math.inf:
                share = 1 - self.smoothing if self.measured[index] else 1.0
                self.factors[index].lerp_((first / norm).to(self.factors), share)
                self.measured[index] = True

    def _norm(self, value: Tensor) -> Tensor:
        gradients = torch.autograd.grad(
            value, self.parameters_measured, retain_graph=True, allow_unused=True
        )
        norms = [gradient.norm() for gradient in gradients if gradient is not None]
        return torch.stack(norms).norm() if norms else value.new_zeros(())
