"""Terms that learn a projector, by formulae written out anew."""

import numpy as np
import pytest
import torch

from monai_kd.distillation.distillation_loss import DistillationLoss
from monai_kd.distillation.distiller import Distiller
from monai_kd.distillation.projectors import GroupLinearProjector
from monai_kd.distillation.terms.affinity_term import AffinityTerm
from monai_kd.distillation.terms.correlation_term import CorrelationTerm
from monai_kd.distillation.terms.cross_attention_term import CrossAttentionTerm
from monai_kd.distillation.terms.fusion_transfer_term import FusionTransferTerm
from monai_kd.distillation.terms.group_linear_term import GroupLinearTerm
from monai_kd.distillation.terms.hidden_regressor_term import HiddenRegressorTerm
from monai_kd.distillation.terms.latent_term import LatentTerm
from monai_kd.distillation.terms.stage_heads_term import StageHeadsTerm
from monai_kd.networks import EfficientNetStudent, HybridTeacher, TappedNetwork
from tests.distillation.cases import REGIONS
from tests.distillation.feature_cases import (
    COARSE,
    FINE,
    STUDENT,
    TAPS,
    TEACHER,
    make_maps,
    make_tokens,
)
from tests.distillation.formulae import (
    LABEL,
    convolve,
    cosine_distance,
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

TOKEN_TAPS = {"student_tap": COARSE, "teacher_tap": COARSE}


def test_hidden_regressor_follows_its_formulae():
    output = make_maps(1, torch.float64, 2)
    term = fit(HiddenRegressorTerm(**TAPS), output)
    student, teacher = numbers(output)
    first, _, second = term.maps.projector
    told = convolve(np.maximum(convolve(student, first), 0), second)
    assert evaluate(term, output) == pytest.approx(((told - teacher) ** 2).mean(), abs=1e-6)
    term.cosine = True
    expected = cosine_distance(rows(told), rows(teacher))
    assert evaluate(term, output) == pytest.approx(expected, abs=1e-6)


def test_latent_follows_its_formulae():
    output = make_maps(1, torch.float64, 2)
    term = fit(LatentTerm(**TAPS), output)
    student, teacher = numbers(output)
    told = convolve(student, term.maps.projector)
    expected = np.abs(normal(told, axis=1) - normal(teacher, axis=1)).mean()
    assert evaluate(term, output) == pytest.approx(expected, abs=1e-6)
    term.normalised = False
    assert evaluate(term, output) == pytest.approx(np.abs(told - teacher).mean(), abs=1e-6)


def test_only_the_plain_latent_term_asks_for_the_magnitude_of_the_teacher():
    output = make_maps(1, torch.float64, 2)
    large = with_teacher(output, lambda x: 1000 * x)
    values = {
        normalised: [
            evaluate(fit(LatentTerm(**TAPS, normalised=normalised), said), said)
            for said in (output, large)
        ]
        for normalised in (True, False)
    }
    assert values[False][1] > 100 * values[False][0]
    assert values[True][1] < 2


def test_cross_attention_follows_its_formula():
    output = make_tokens(1, torch.float64, 2)
    term = fit(CrossAttentionTerm(**TOKEN_TAPS, replace=0), output)
    student, teacher = numbers(output, COARSE)
    split = rows(convolve(student, term.maps.projector))
    query, key, value = (normal(part) for part in np.split(split, 3, axis=-1))
    tokens = normal(teacher)

    def attend(q, k, v):
        return softmax(q @ k.swapaxes(1, 2) / np.sqrt(TEACHER)) @ v

    attention = attend(tokens, tokens, tokens) - attend(query, key, value)
    relation = (tokens @ tokens.swapaxes(1, 2) - value @ value.swapaxes(1, 2)) / TEACHER
    expected = (attention**2).mean() + (relation**2).mean()
    assert evaluate(term, output) == pytest.approx(expected, abs=1e-6)


def test_cross_attention_puts_the_teacher_in_by_chance_and_in_training_alone():
    output = make_tokens(1, torch.float64, 2)
    torch.manual_seed(0)
    term = fit(CrossAttentionTerm(**TOKEN_TAPS), output)
    assert len({term(output, LABEL).item() for _ in range(20)}) > 3
    assert len({term.eval()(output, LABEL).item() for _ in range(5)}) == 1


def test_group_linear_follows_its_formula():
    output = make_maps(1, torch.float64, 2)
    term = fit(GroupLinearTerm(**TAPS), output)
    student, teacher = numbers(output)
    weight = term.maps.projector.project.weight.detach().numpy().reshape(4, TEACHER, STUDENT)
    bias = term.maps.projector.project.bias.detach().numpy().reshape(4, TEACHER)
    told = np.zeros_like(teacher)
    for y, x in np.ndindex(4, 6):
        block = 2 * (y // 2) + x // 3
        told[:, :, y, x] = student[:, :, y, x] @ weight[block].T + bias[block]
    expected = ((normal(told, axis=1) - normal(teacher, axis=1)) ** 2).mean()
    assert evaluate(term, output) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [(4, 6), (4, 6, 2)])
def test_voxels_of_one_block_share_their_linear_map_and_others_do_not(size):
    projector = GroupLinearProjector(STUDENT, TEACHER, groups=2, spatial_dims=len(size))
    told = projector(torch.ones(1, STUDENT, *size))[0, 0]
    blocks = [slice(0, edge // 2) for edge in size]
    assert told[tuple(blocks)].std() < 1e-6
    assert len(told.detach().flatten().round(decimals=5).unique()) == 2 ** len(size)


def test_stage_heads_follow_their_formula():
    output = make_maps(1, torch.float64, 2)
    term = fit(StageHeadsTerm(student_taps=[COARSE], temperature=2.0), output)
    p = sigmoid(output.teacher.logits.numpy() / 2).reshape(2, REGIONS, 2, 2, 3, 2).mean((3, 5))
    q = sigmoid(convolve(numbers(output, COARSE)[0], term.heads[0]) / 2)
    expected = 4 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    assert evaluate(term, output) == pytest.approx(expected, abs=1e-6)


def test_stage_heads_of_classes_follow_their_formula():
    output = make_maps(1, torch.float64, 2)
    term = fit(StageHeadsTerm(student_taps=[FINE], exclusive=True), output)
    p = softmax(rows(output.teacher.logits.numpy()))
    q = softmax(rows(convolve(numbers(output)[0], term.heads[0])))
    assert evaluate(term, output) == pytest.approx(divergence(p, q), abs=1e-6)


def test_a_real_pair_hands_over_its_fusion_and_its_tokens():
    torch.manual_seed(0)
    teacher = HybridTeacher(2, stage_channels=(4, 6), hidden_size=32, layers=2, patch_size=4)
    student = EfficientNetStudent(2, stages=((8, 0, 1, "early"), (16, 1, 1, "early")))
    tokens = {"student_tap": "encoder.1", "teacher_tap": "vit_branch.blocks.1"}
    terms = {
        "fusion": FusionTransferTerm(student_taps=["encoder.0", "encoder.1"]),
        "attention": CrossAttentionTerm(**tokens),
        "groups": GroupLinearTerm(**tokens),
        "affinity": AffinityTerm(**tokens),
    }
    loss = DistillationLoss(terms, student=student, teacher=teacher, probe=(1, 4, 16, 24))
    distiller = Distiller(
        TappedNetwork(student, taps=loss.student_taps),
        teacher=TappedNetwork(teacher, taps=loss.teacher_taps),
    )
    before = {name: value.clone() for name, value in loss.named_parameters()}
    optimizer = torch.optim.Adam([*student.parameters(), *loss.parameters()], lr=0.1)
    loss(distiller.train()(torch.randn(2, 4, 16, 24)), LABEL).backward()
    optimizer.step()
    assert all(not torch.equal(value, before[name]) for name, value in loss.named_parameters())


LEARNING = [
    CorrelationTerm(**TAPS),
    FusionTransferTerm(student_taps=[FINE, COARSE]),
    LatentTerm(**TAPS),
    StageHeadsTerm(student_taps=[FINE]),
]


@pytest.mark.parametrize("term", LEARNING, ids=lambda term: type(term).__name__)
def test_a_term_that_was_not_fitted_says_so_and_does_not_learn_in_vain(term):
    output = make_maps(1, torch.float64, 2)
    output.teacher.features.update({f"fusion.fused.{i}": torch.rand(2, 4, 4, 6) for i in (0, 1)})
    with pytest.raises(RuntimeError, match=r"call fit\(output\) of the term before the optimiser"):
        term(output, LABEL)


def test_normalising_one_channel_is_refused():
    output = make_maps(1, torch.float64, 2, teacher=1)
    for term in (LatentTerm(**TAPS), GroupLinearTerm(**TAPS), CrossAttentionTerm(**TAPS)):
        with pytest.raises(ValueError, match="leaves nothing of it"):
            term.fit(output)
    LatentTerm(**TAPS, normalised=False).fit(output)
