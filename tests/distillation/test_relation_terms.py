"""Terms that compare maps without a projector, by formulae written out anew."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from monai_kd.distillation.terms.affinity_term import AffinityTerm
from monai_kd.distillation.terms.attention_transfer_term import AttentionTransferTerm
from monai_kd.distillation.terms.correlation_term import CorrelationTerm
from monai_kd.distillation.terms.hidden_term import HiddenTerm
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.cases import REGIONS, make_random
from tests.distillation.feature_cases import (
    COARSE,
    FINE,
    TAPS,
    TEACHER,
    make_alike,
    make_maps,
)
from tests.distillation.formulae import (
    EPSILON,
    cosines,
    divergence,
    evaluate,
    fit,
    normal,
    numbers,
    rows,
    sigmoid,
    softmax,
    with_teacher,
)


def test_correlation_of_regions_follows_its_formula():
    output = make_maps(1, torch.float64, 2)
    student, teacher = (sigmoid(said.logits.detach().numpy() / 2) for said in output)
    inter = np.diff([normal(rows(x), epsilon=EPSILON / 4) for x in (student, teacher)], axis=0) ** 2
    flat = [np.moveaxis(x, 1, 0).reshape(REGIONS, -1) for x in (student, teacher)]
    intra = np.diff([normal(x, epsilon=EPSILON / 4) for x in flat], axis=0) ** 2
    term = CorrelationTerm(temperature=2.0, inter=3.0)
    assert evaluate(term, output) == pytest.approx(
        1.5 * inter.mean() + 0.5 * intra.mean(), abs=1e-6
    )


def test_correlation_of_features_is_one_less_that_of_numpy():
    output = make_alike(1, torch.float64, 3)
    student, teacher = (100 * np.moveaxis(x, 1, 0).reshape(TEACHER, -1) for x in numbers(output))
    expected = np.mean(
        [1 - np.corrcoef(*pair)[0, 1] for pair in zip(student, teacher, strict=True)]
    )
    output = with_teacher(output, lambda x: 100 * x)
    output.student.features[FINE].data.mul_(100)
    assert evaluate(fit(CorrelationTerm(**TAPS, inter=0.0), output), output) == pytest.approx(
        expected, abs=1e-6
    )


def test_correlation_knows_neither_scale_nor_offset():
    output = make_alike(1, torch.float64, 2)
    term = fit(CorrelationTerm(**TAPS), output)
    turned = with_teacher(output, lambda x: 3 * x + 5)
    assert evaluate(term, turned) == pytest.approx(evaluate(term, output), abs=1e-5)


def test_correlation_of_opposites_is_two():
    output = make_alike(1, torch.float64, 2)
    opposite = with_teacher(output, lambda _: -output.student.features[FINE].detach())
    term = fit(CorrelationTerm(**TAPS, inter=0.0), output)
    assert evaluate(term, opposite) == pytest.approx(2, abs=1e-5)


def test_correlation_of_one_channel_has_no_part_across_channels():
    logits = (
        make_random(1, (2, 1, 4, 4), torch.float64),
        make_random(2, (2, 1, 4, 4), torch.float64),
    )
    output = DistillationOutput(*map(NetworkOutput, logits))
    assert evaluate(CorrelationTerm(inter=9.0), output) == evaluate(
        CorrelationTerm(inter=0.0), output
    )


def test_classes_correlate_by_their_softmax():
    output = make_maps(1, torch.float64, 2)
    higher = NetworkOutput(output.teacher.logits + torch.arange(6.0))  # all classes of a voxel
    shifted = DistillationOutput(output.student, higher)
    classes, regions = CorrelationTerm(exclusive=True), CorrelationTerm()
    assert evaluate(classes, shifted) == pytest.approx(evaluate(classes, output))
    assert evaluate(regions, shifted) != pytest.approx(evaluate(regions, output))


def test_affinity_follows_its_formula():
    output = make_maps(1, torch.float64, 2)
    student, teacher = (cosines(rows(x)) for x in numbers(output))
    expected = ((student - teacher) ** 2).mean()
    assert evaluate(AffinityTerm(**TAPS), output) == pytest.approx(expected, abs=1e-6)


def test_affinity_does_not_care_what_channels_mean():
    output = make_maps(1, torch.float64, 3)
    turned = with_teacher(output, lambda x: torch.cat([-x.flip(1), 0 * x], dim=1))
    term = AffinityTerm(**TAPS, grid=2)
    assert evaluate(term, turned) == pytest.approx(evaluate(term, output))


def test_attention_transfer_follows_its_formula():
    output = make_maps(1, torch.float64, 2)
    total = 0.0
    for tap in (FINE, COARSE):
        maps = [(x**2).mean(1).reshape(2, -1) for x in numbers(output, tap)]
        maps = [x / np.sqrt((x**2).sum(-1, keepdims=True)) for x in maps]
        total += ((maps[0] - maps[1]) ** 2).sum(-1).mean() / 2
    taps = {"student_taps": [FINE, COARSE], "teacher_taps": [FINE, COARSE]}
    assert evaluate(AttentionTransferTerm(**taps), output) == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-2, 1e3])
def test_attention_transfer_knows_no_scale(scale):
    output = make_maps(1, torch.float64, 2)
    term = AttentionTransferTerm(student_taps=[FINE], teacher_taps=[FINE])
    turned = with_teacher(output, lambda x: scale * x)
    assert evaluate(term, turned) == pytest.approx(evaluate(term, output), rel=1e-3)


def test_hidden_follows_its_formulae():
    output = make_maps(1, torch.float64, 2)
    student, teacher = (normal(x.mean(1).reshape(2, -1)) for x in numbers(output))
    square = evaluate(HiddenTerm(**TAPS), output)
    assert square == pytest.approx(((student - teacher) ** 2).mean(), abs=1e-6)
    over_space = evaluate(HiddenTerm(**TAPS, divergence=True), output)
    assert over_space == pytest.approx(divergence(softmax(teacher), softmax(student)), abs=1e-6)


def test_activations_meet_where_maps_of_signed_features_would_cancel():
    fine = make_random(1, (2, 3, 4, 6), torch.float64)
    alternating = fine.abs() * (-1.0) ** torch.arange(6)
    coarse = functional.avg_pool2d(fine.square().mean(1, keepdim=True), 2).sqrt()
    said = NetworkOutput(alternating, {FINE: alternating}), NetworkOutput(coarse, {FINE: coarse})
    term = AttentionTransferTerm(student_taps=[FINE], teacher_taps=[FINE])
    assert evaluate(term, DistillationOutput(*said)) == pytest.approx(0, abs=1e-10)
