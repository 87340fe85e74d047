"""The weighted sum of terms that a student is trained with."""

from collections.abc import Mapping

from torch import Tensor, nn

from monai_kd.outputs import DistillationOutput


class DistillationLoss(nn.Module):
    """`sum_i weight_i * term_i(output, label)`, terms and weights by name."""

    def __init__(self, terms: Mapping[str, nn.Module], *, weights: Mapping[str, float]) -> None:
        super().__init__()
        if set(terms) != set(weights):
            raise ValueError(
                f"terms {sorted(terms)} and weights {sorted(weights)} must have the same names: "
                "give every term one weight"
            )
        self.terms = nn.ModuleDict(terms)
        self.weights = dict(weights)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """The weighted sum, a scalar."""
        values = (self.weights[name] * term(output, label) for name, term in self.terms.items())
        return sum(values, start=label.new_zeros(()))
