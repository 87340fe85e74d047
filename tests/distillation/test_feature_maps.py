"""How maps of two networks meet, and what is said where they cannot."""

import pytest
import torch

from monai_kd.distillation.feature_maps import read_map_pair, tokens_to_volume
from monai_kd.distillation.terms.affinity_term import AffinityTerm
from monai_kd.distillation.terms.attention_transfer_term import AttentionTransferTerm
from monai_kd.distillation.terms.correlation_term import CorrelationTerm
from monai_kd.distillation.terms.cross_attention_term import CrossAttentionTerm
from monai_kd.distillation.terms.fusion_transfer_term import FusionTransferTerm
from monai_kd.distillation.terms.group_linear_term import GroupLinearTerm
from monai_kd.distillation.terms.hidden_term import HiddenTerm
from monai_kd.distillation.terms.stage_heads_term import StageHeadsTerm
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.feature_cases import (
    FINE,
    TAPS,
    make_maps,
)
from tests.distillation.formulae import (
    evaluate,
    with_teacher,
)
from tests.distillation.test_fusion_transfer_term import make_fusion_term


def test_tokens_are_read_as_the_volume_they_were():
    volume = torch.randn(2, 5, 4, 6, 2)
    tokens = volume.flatten(2).transpose(1, 2)
    assert torch.equal(tokens_to_volume(tokens, (8, 12, 4), tap="blocks"), volume)


def test_maps_meet_on_the_smaller_grid_of_both():
    student, teacher = torch.rand(1, 2, 8, 3, 4), torch.rand(1, 5, 4, 6, 4)
    said = (NetworkOutput(student, {FINE: student}), NetworkOutput(teacher, {FINE: teacher}))
    pair = read_map_pair(DistillationOutput(*said), **TAPS, limit=3)
    assert [list(volume.shape[1:]) for volume in pair] == [[2, 3, 3, 3], [5, 3, 3, 3]]
    pair = read_map_pair(DistillationOutput(*said), **TAPS)
    torch.testing.assert_close(pair[0].mean(), student.mean())


@pytest.mark.parametrize(
    ("make_term", "complaint"),
    [
        (lambda: CorrelationTerm(student_tap=FINE), "give both"),
        (lambda: CorrelationTerm(temperature=0), "temperature must be above 0"),
        (lambda: AffinityTerm(grid=0), "grid is 0"),
        (lambda: AttentionTransferTerm(student_taps=[FINE], teacher_taps=[]), "as many of both"),
        (
            lambda: AttentionTransferTerm(student_taps=[FINE], teacher_taps=[FINE], power=0.5),
            "power is 0.5",
        ),
        (lambda: CrossAttentionTerm(**TAPS, replace=1), "below 1"),
        (lambda: GroupLinearTerm(**TAPS, groups=0), "groups is 0"),
        (lambda: StageHeadsTerm(student_taps=[]), "student_taps is empty"),
        (lambda: StageHeadsTerm(student_taps=[FINE], temperature=0), "temperature is 0"),
        (lambda: make_fusion_term(gates=-1.0), "weights of 0 or more"),
        (lambda: FusionTransferTerm(student_taps=[FINE]), "two or more"),
    ],
)
def test_impossible_settings_are_refused(make_term, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_term()


@pytest.mark.parametrize(
    ("term", "complaint"),
    [
        (HiddenTerm(student_tap="fin", teacher_tap=FINE), "nearest is 'fine'"),
        (GroupLinearTerm(**TAPS, groups=5), "set groups to 4 or less"),
    ],
)
def test_what_cannot_be_read_is_named(term, complaint):
    with pytest.raises(ValueError, match=complaint):
        evaluate(term, make_maps(1, torch.float64, 2))


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ((2, 25, 4), "25 tokens, which fill no grid"),
        ((2, 4, 4, 6, 2), "as many windows and spatial axes"),
        ((3, 4, 4, 6), "as many windows and spatial axes"),
    ],
)
def test_maps_that_do_not_match_are_named(shape, complaint):
    output = with_teacher(make_maps(1, torch.float64, 2), lambda _: torch.zeros(shape))
    with pytest.raises(ValueError, match=complaint):
        evaluate(HiddenTerm(**TAPS), output)


def test_a_student_without_maps_is_told_to_tap_one():
    said = NetworkOutput(torch.zeros(2, 3), {FINE: torch.zeros(2, 8)})
    with pytest.raises(ValueError, match="tap a module that puts out a map"):
        evaluate(HiddenTerm(**TAPS), DistillationOutput(said, said))
