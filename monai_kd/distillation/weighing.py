"""Makes terms of different size comparable, so that their weights mean something."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class RunningMeanWeighing(nn.Module):
    """Scales each term to the running size of the first one: a weight is then a share of the loss.

    `factor_i = m_first / m_i`, with `m` the mean of a term over its first steps and an exponential
    one after `window` of them. The first term, the supervised one as a rule, keeps its own scale.
    """

    def __init__(self, names: Iterable[str], *, window: int = 100) -> None:
        super().__init__()
        self.names = tuple(names)
        self.window = window
        self.register_buffer("means", torch.zeros(len(self.names)))
        self.register_buffer("steps", torch.zeros(len(self.names)))
        self.means: Tensor
        self.steps: Tensor

    def forward(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take the values of this step into the means, and return a factor for each."""
        for name, value in values.items():
            index = self._find(name)
            if self.training:
                self.steps[index] += 1
                share = 1 / self.steps[index].clamp(max=self.window)
                self.means[index].lerp_(value.detach().abs().to(self.means), share)
        tiny = torch.finfo(self.means.dtype).eps
        first = self.means[0] if self.steps[0] > 0 else 1.0
        return {name: first / self.means[self._find(name)].clamp(min=tiny) for name in values}

    def _find(self, name: str) -> int:
        if name not in self.names:
            raise ValueError(f"weighing knows the terms {list(self.names)}, not {name!r}: add it")
        return self.names.index(name)


class GradientRatioWeighing(nn.Module):
    """Scales each term so that its gradient is as large as that of the first one.

    `factor_i = |grad_first| / |grad_i|`, norms over `parameters`, which student's terms all
    reach: the student's own, or those of a late block of the encoder. Measured every `interval`
    steps, smoothed over measurements; each costs one backward pass per term.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        parameters: Iterable[nn.Parameter],
        interval: int = 10,
        smoothing: float = 0.9,
    ) -> None:
        super().__init__()
        self.names = tuple(names)
        self.parameters_measured = tuple(parameters)  # a tuple: the optimiser holds them already
        self.interval = interval
        self.smoothing = smoothing
        self.register_buffer("factors", torch.ones(len(self.names)))
        self.register_buffer("steps", torch.zeros(()))
        self.factors: Tensor
        self.steps: Tensor

    def forward(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a factor for each term, measured anew every `interval` steps."""
        if self.training and int(self.steps) % self.interval == 0:
            self._measure(values)
        self.steps += int(self.training)
        return {name: self.factors[self.names.index(name)] for name in values}

    def _measure(self, values: Mapping[str, Tensor]) -> None:
        norms = {name: self._norm(value) for name, value in values.items()}
        first = norms.get(self.names[0])
        for name, norm in norms.items():
            index = self.names.index(name)
            if first is not None and norm > 0 and first > 0:
                share = 1.0 if int(self.steps) == 0 else 1 - self.smoothing
                self.factors[index].lerp_((first / norm).to(self.factors), share)

    def _norm(self, value: Tensor) -> Tensor:
        gradients = torch.autograd.grad(
            value, self.parameters_measured, retain_graph=True, allow_unused=True
        )
        norms = [gradient.norm() for gradient in gradients if gradient is not None]
        return torch.stack(norms).norm() if norms else value.new_zeros(())
