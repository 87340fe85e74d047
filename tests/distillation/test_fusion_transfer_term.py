"""What is told of the fusion, by formulae written out anew."""

import numpy as np
import pytest
import torch

from monai_kd.distillation.terms.fusion_transfer_term import (
    LEAST_SHARE,
    FusionTransferTerm,
    row_divergence,
)
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.feature_cases import (
    COARSE,
    FINE,
    STUDENT,
    make_fusion,
)
from tests.distillation.formulae import (
    LABEL,
    convolve,
    cosine_distance,
    cosines,
    divergence,
    evaluate,
    fit,
    normal,
    rows,
    softmax,
)


def make_fusion_term(**weights):
    torch.manual_seed(1)
    term = FusionTransferTerm(student_taps=[FINE, COARSE], **weights)
    return fit(term, make_fusion(1, torch.float64, 2))


def test_fused_maps_are_compared_by_cosine_and_affinity():
    output, term = make_fusion(1, torch.float64, 2), make_fusion_term(attention=0.0, gates=0.0)
    expected = 0.0
    for scale, tap in enumerate((FINE, COARSE)):
        told = convolve(output.student.features[tap].detach().numpy(), term.maps[scale].projector)
        told, fused = rows(told), rows(output.teacher.features[f"fusion.fused.{scale}"].numpy())
        expected += cosine_distance(told, fused)
        expected += ((cosines(told) - cosines(fused)) ** 2).mean()
    assert evaluate(term, output) == pytest.approx(expected / 2, abs=1e-6)


def test_scales_are_compared_as_distributions():
    output = make_fusion(1, torch.float64, 2)
    term = make_fusion_term(maps=0.0, attention=2.0, gates=0.5)
    features, places = [output.student.features[tap] for tap in (FINE, COARSE)], 2 * 3
    pooled = features[0].detach().numpy().reshape(2, STUDENT, 2, 2, 3, 2).mean((3, 5))
    maps = [pooled, features[1].detach().numpy()]
    layers = term.tokens.projectors
    tokens = np.concatenate([rows(convolve(*pair)) for pair in zip(maps, layers, strict=True)], 1)
    query, key = np.split(normal(tokens) @ term.rows.split.weight.detach().numpy().T, 2, axis=-1)
    seen = softmax(query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1]))
    seen = seen.reshape(2, 2, places, 2, places).sum(4).mean(2)
    means = tokens.reshape(2, 2, places, -1).mean(2).reshape(2, -1)
    weight, bias = (x.detach().numpy() for x in term.score.parameters())
    said = output.teacher.features
    expected = 2 * divergence(said["fusion.cross_scale.scale_attention"].numpy(), seen + 1e-6)
    expected += 0.5 * divergence(said["fusion.gates"].numpy() / 2, softmax(means @ weight.T + bias))
    assert evaluate(term, output) == pytest.approx(expected, abs=1e-6)


def test_parts_of_weight_zero_need_no_tap():
    output = make_fusion(1, torch.float64, 2)
    fused = {name: x for name, x in output.teacher.features.items() if "fused" in name}
    plain = DistillationOutput(output.student, NetworkOutput(output.teacher.logits, fused))
    assert evaluate(make_fusion_term(attention=0.0, gates=0.0), plain) > 0
    with pytest.raises(ValueError, match=r"cross_scale\.scale_attention"):
        make_fusion_term()(plain, LABEL)


def test_a_fusion_of_more_scales_is_named():
    output = make_fusion(1, torch.float64, 2)
    rows_of_three = {"fusion.cross_scale.scale_attention": torch.full((2, 3, 3), 1 / 3)}
    said = NetworkOutput(output.teacher.logits, {**output.teacher.features, **rows_of_three})
    with pytest.raises(ValueError, match="each of the 3 scales"):
        make_fusion_term()(DistillationOutput(output.student, said), LABEL)


PARTS = ["maps", "attention", "gates"]


@pytest.mark.parametrize("part", PARTS)
def test_only_what_a_part_above_zero_learns_is_built(part):
    term = make_fusion_term(**{other: float(other == part) for other in PARTS})
    term(make_fusion(1, torch.float64, 2), LABEL).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in term.parameters())


def test_a_gate_that_is_all_but_shut_still_has_a_slope():
    term = make_fusion_term(maps=0.0, attention=0.0)
    term.score.bias.data.copy_(torch.tensor([50.0, -50.0]))
    term(make_fusion(1, torch.float64, 2), LABEL).backward()
    assert term.score.bias.grad.abs().min() > 0.1


def test_a_row_that_is_all_but_shut_still_has_a_slope():
    scores = torch.tensor([[0.0, -15.0]], dtype=torch.float64, requires_grad=True)
    shares = scores.softmax(dim=-1) + LEAST_SHARE
    row_divergence(torch.tensor([[0.5, 0.5]], dtype=torch.float64), shares.log()).backward()
    assert scores.grad.abs().min() > 0.05
