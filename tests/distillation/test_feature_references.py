"""The terms on features against their formulae, written once more in NumPy."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from torch.nn import functional

from monai_kd.distillation.terms.affinity_term import AffinityTerm
from monai_kd.distillation.terms.attention_transfer_term import AttentionTransferTerm
from monai_kd.distillation.terms.correlation_term import CorrelationTerm
from monai_kd.distillation.terms.cross_attention_term import CrossAttentionTerm
from monai_kd.distillation.terms.group_linear_term import GroupLinearTerm
from monai_kd.distillation.terms.hidden_regressor_term import HiddenRegressorTerm
from monai_kd.distillation.terms.hidden_term import HiddenTerm
from monai_kd.distillation.terms.latent_term import LatentTerm
from monai_kd.distillation.terms.stage_heads_term import StageHeadsTerm
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.cases import (
    COARSE,
    COARSE_TAPS,
    FINE,
    REGIONS,
    SPACE,
    STAGES,
    STUDENT,
    TAPS,
    TEACHER,
    make_alike,
    make_maps,
    make_random,
    make_tokens,
)
from tests.distillation.formulae import (
    EPSILON,
    FUSION,
    assert_agrees,
    bernoulli,
    convolve,
    cosine_distance,
    cosines,
    divergence,
    evaluate,
    fit,
    halve,
    make_fusion_term,
    normal,
    numbers,
    rows,
    with_teacher,
)

MAPS = make_maps(1, torch.float64, 2)
LOGITS = tuple(said.logits.detach().numpy() for said in MAPS)
STUDENT_MAP, TEACHER_MAP = numbers(MAPS)
BOTH_TAPS = {**STAGES, "teacher_taps": [FINE, COARSE]}


@pytest.mark.parametrize("exclusive", [False, True])
def test_correlation_of_logits(exclusive):
    sharpen = (lambda z: softmax(z, axis=1)) if exclusive else expit
    pair = [sharpen(logits / 2) for logits in LOGITS]
    inter = np.diff([normal(rows(x), epsilon=EPSILON / 4) for x in pair], axis=0) ** 2
    flat = [np.moveaxis(x, 1, 0).reshape(REGIONS, -1) for x in pair]
    intra = np.diff([normal(x, epsilon=EPSILON / 4) for x in flat], axis=0) ** 2
    term = CorrelationTerm(temperature=2.0, inter=3.0, exclusive=exclusive)
    assert_agrees(term, 1.5 * inter.mean() + 0.5 * intra.mean(), MAPS)


def test_correlation_of_features_is_one_less_that_of_numpy():
    output = make_alike(1, torch.float64, 3)
    student, teacher = (100 * np.moveaxis(x, 1, 0).reshape(TEACHER, -1) for x in numbers(output))
    pairs = zip(student, teacher, strict=True)
    expected = np.mean([1 - np.corrcoef(*pair)[0, 1] for pair in pairs])
    output = with_teacher(output, lambda x: 100 * x)
    output.student.features[FINE].data.mul_(100)
    assert_agrees(fit(CorrelationTerm(**TAPS, inter=0.0), output), expected, output)


def test_correlation_of_one_channel_has_no_part_across_channels():
    logits = (make_random(seed, (2, 1, 4, 4)) for seed in (1, 2))
    output = DistillationOutput(*map(NetworkOutput, logits))
    values = {evaluate(CorrelationTerm(inter=inter), output) for inter in (0.0, 9.0)}
    assert len(values) == 1


def test_affinity():
    student, teacher = cosines(rows(STUDENT_MAP)), cosines(rows(TEACHER_MAP))
    assert_agrees(AffinityTerm(**TAPS), ((student - teacher) ** 2).mean(), MAPS)


@pytest.mark.parametrize(("scale", "rel"), [(1, 1e-6), (1e-2, 1e-3), (1e3, 1e-3)])
def test_attention_transfer_which_knows_no_scale(scale, rel):
    total, output = 0.0, MAPS
    for tap in (FINE, COARSE):
        maps = [(x**2).mean(1).reshape(2, -1) for x in numbers(MAPS, tap)]
        maps = [x / np.sqrt((x**2).sum(-1, keepdims=True)) for x in maps]
        total += ((maps[0] - maps[1]) ** 2).sum(-1).mean() / 2
        output = with_teacher(output, lambda x: scale * x, tap)
    assert evaluate(AttentionTransferTerm(**BOTH_TAPS), output) == pytest.approx(total, rel=rel)


def test_activations_meet_where_maps_of_signed_features_would_cancel():
    fine = make_random(1, (2, 3, 4, 6))
    alternating = fine.abs() * (-1.0) ** torch.arange(6)
    coarse = functional.avg_pool2d(fine.square().mean(1, keepdim=True), 2).sqrt()
    said = NetworkOutput(alternating, {FINE: alternating}), NetworkOutput(coarse, {FINE: coarse})
    term = AttentionTransferTerm(student_taps=[FINE], teacher_taps=[FINE])
    assert evaluate(term, DistillationOutput(*said)) == pytest.approx(0, abs=1e-10)


def test_hidden():
    student, teacher = (normal(x.mean(1).reshape(2, -1)) for x in (STUDENT_MAP, TEACHER_MAP))
    assert_agrees(HiddenTerm(**TAPS), ((student - teacher) ** 2).mean(), MAPS)
    over_space = divergence(softmax(teacher, axis=-1), softmax(student, axis=-1)).mean()
    assert_agrees(HiddenTerm(**TAPS, divergence=True), over_space, MAPS)


def test_hidden_regressor():
    term = fit(HiddenRegressorTerm(**TAPS), MAPS)
    first, _, second = term.maps.projector
    told = convolve(np.maximum(convolve(STUDENT_MAP, first), 0), second)
    assert_agrees(term, ((told - TEACHER_MAP) ** 2).mean(), MAPS)
    term.cosine = True
    assert_agrees(term, cosine_distance(rows(told), rows(TEACHER_MAP)), MAPS)


def test_latent():
    term = fit(LatentTerm(**TAPS), MAPS)
    told = convolve(STUDENT_MAP, term.maps.projector)
    assert_agrees(term, np.abs(normal(told, axis=1) - normal(TEACHER_MAP, axis=1)).mean(), MAPS)
    term.normalised = False
    assert_agrees(term, np.abs(told - TEACHER_MAP).mean(), MAPS)


def test_cross_attention():
    output = make_tokens(1, torch.float64, 2)
    term = fit(CrossAttentionTerm(**COARSE_TAPS, replace=0), output)
    student, teacher = numbers(output, COARSE)
    split = rows(convolve(student, term.maps.projector))
    query, key, value = (normal(part) for part in np.split(split, 3, axis=-1))
    tokens = normal(teacher)

    def attend(q, k, v):
        return softmax(q @ k.swapaxes(1, 2) / np.sqrt(TEACHER), axis=-1) @ v

    attention = attend(tokens, tokens, tokens) - attend(query, key, value)
    relation = (tokens @ tokens.swapaxes(1, 2) - value @ value.swapaxes(1, 2)) / TEACHER
    assert_agrees(term, (attention**2).mean() + (relation**2).mean(), output)


@pytest.mark.parametrize("dims", SPACE)
def test_group_linear_has_one_map_for_the_voxels_of_a_block(dims):
    output, blocks = make_maps(1, torch.float64, dims), 2**dims
    term = fit(GroupLinearTerm(**TAPS), output)
    student, teacher = numbers(output)
    weight, bias = (x.detach().numpy() for x in term.maps.projector.project.parameters())
    weight, bias = weight.reshape(blocks, TEACHER, STUDENT), bias.reshape(blocks, TEACHER)
    told = np.zeros_like(teacher)
    for voxel in np.ndindex(SPACE[dims]):
        place = [2 * index // edge for index, edge in zip(voxel, SPACE[dims], strict=True)]
        block, one = np.ravel_multi_index(place, (2,) * dims), (..., *voxel)
        told[one] = student[one] @ weight[block].T + bias[block]
    assert_agrees(term, ((normal(told, axis=1) - normal(teacher, axis=1)) ** 2).mean(), output)


def test_stage_heads():
    term = fit(StageHeadsTerm(student_taps=[COARSE], temperature=2.0), MAPS)
    p = halve(expit(LOGITS[1] / 2))
    q = expit(convolve(numbers(MAPS, COARSE)[0], term.heads[0]) / 2)
    assert_agrees(term, 4 * bernoulli(p, q).mean(), MAPS)


def test_stage_heads_of_classes():
    term = fit(StageHeadsTerm(student_taps=[FINE], exclusive=True), MAPS)
    p, q = (softmax(x, axis=1) for x in (LOGITS[1], convolve(STUDENT_MAP, term.heads[0])))
    assert_agrees(term, divergence(p, q, axis=1).mean(), MAPS)


def test_fused_maps_are_compared_by_cosine_and_affinity():
    term, expected = make_fusion_term(attention=0.0, gates=0.0), 0.0
    for scale, tap in enumerate((FINE, COARSE)):
        told = convolve(FUSION.student.features[tap].detach().numpy(), term.maps[scale].projector)
        told, fused = rows(told), rows(FUSION.teacher.features[f"fusion.fused.{scale}"].numpy())
        expected += cosine_distance(told, fused)
        expected += ((cosines(told) - cosines(fused)) ** 2).mean()
    assert_agrees(term, expected / 2, FUSION)


def test_scales_are_compared_as_distributions():
    term, places = make_fusion_term(maps=0.0, attention=2.0, gates=0.5), 2 * 3
    fine, coarse = (FUSION.student.features[tap].detach().numpy() for tap in (FINE, COARSE))
    pairs = zip((halve(fine), coarse), term.tokens.projectors, strict=True)
    tokens = np.concatenate([rows(convolve(*pair)) for pair in pairs], 1)
    query, key = np.split(normal(tokens) @ term.rows.split.weight.detach().numpy().T, 2, axis=-1)
    seen = softmax(query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1]), axis=-1)
    seen = seen.reshape(2, 2, places, 2, places).sum(4).mean(2)
    means = tokens.reshape(2, 2, places, -1).mean(2).reshape(2, -1)
    weight, bias = (x.detach().numpy() for x in term.score.parameters())
    told, said = softmax(means @ weight.T + bias, axis=-1), FUSION.teacher.features
    looks = divergence(said["fusion.cross_scale.scale_attention"].numpy(), seen + 1e-6)
    gates = divergence(said["fusion.gates"].numpy() / 2, told)
    assert_agrees(term, 2 * looks.mean() + 0.5 * gates.mean(), FUSION)
