"""How maps of two networks meet, what is learned for them, and what is said where they cannot."""

import pytest
import torch

from monai_kd.distillation import DistillationLoss, Distiller
from monai_kd.distillation.feature_maps import read_map_pair, tokens_to_volume
from monai_kd.distillation.terms.affinity_term import AffinityTerm
from monai_kd.distillation.terms.attention_transfer_term import AttentionTransferTerm
from monai_kd.distillation.terms.correlation_term import CorrelationTerm
from monai_kd.distillation.terms.cross_attention_term import CrossAttentionTerm
from monai_kd.distillation.terms.fusion_transfer_term import (
    LEAST_SHARE,
    FusionTransferTerm,
    row_divergence,
)
from monai_kd.distillation.terms.group_linear_term import GroupLinearTerm
from monai_kd.distillation.terms.hidden_term import HiddenTerm
from monai_kd.distillation.terms.latent_term import LatentTerm
from monai_kd.distillation.terms.stage_heads_term import StageHeadsTerm
from monai_kd.networks import EfficientNetStudent, HybridTeacher, TappedNetwork
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.cases import COARSE_TAPS, FINE, STAGES, TAPS, make_maps, make_tokens
from tests.distillation.formulae import (
    FUSION,
    LABEL,
    evaluate,
    fit,
    make_fusion_term,
    with_teacher,
)


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
    ("term", "settings", "complaint"),
    [
        (CorrelationTerm, {"student_tap": FINE}, "give both"),
        (CorrelationTerm, {"temperature": 0}, "temperature must be above 0"),
        (AffinityTerm, {"grid": 0}, "grid=0: expected 1 or more"),
        (AttentionTransferTerm, {**STAGES, "teacher_taps": [FINE]}, "as many of both"),
        (AttentionTransferTerm, {"student_taps": [], "teacher_taps": []}, "as many of both"),
        (
            AttentionTransferTerm,
            {**STAGES, "teacher_taps": ["0", "1"], "power": 0.5},
            "power=0.5: expected 1 or more",
        ),
        (CrossAttentionTerm, {**TAPS, "replace": 1}, "below 1"),
        (GroupLinearTerm, {**TAPS, "groups": 0}, "groups=0: expected 1 or more"),
        (StageHeadsTerm, {"student_taps": []}, r"student_taps=\[\]: expected one map"),
        (StageHeadsTerm, {**STAGES, "temperature": 0}, "temperature must be above 0"),
        (StageHeadsTerm, {"student_taps": "encoder.3"}, r"taps are the text 'encoder.3'"),
        (FusionTransferTerm, {**STAGES, "gates": -1.0}, "weights of 0 or more"),
        (FusionTransferTerm, {"student_taps": [FINE]}, "two or more"),
    ],
)
def test_impossible_settings_are_refused(term, settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        term(**settings)


MAPS = make_maps(1, torch.float64, 2)
ROWS = NetworkOutput(torch.zeros(2, 3), {FINE: torch.zeros(2, 8)})


def with_shape(*shape):
    return with_teacher(MAPS, lambda _: torch.zeros(shape))


@pytest.mark.parametrize(
    ("term", "output", "complaint"),
    [
        (HiddenTerm(student_tap="fin", teacher_tap=FINE), MAPS, "nearest is 'fine'"),
        (GroupLinearTerm(**TAPS, groups=5), MAPS, "set groups to 4 or less"),
        (HiddenTerm(**TAPS), with_shape(2, 25, 4), "25 tokens, which fill no grid"),
        (HiddenTerm(**TAPS), with_shape(2, 4, 4, 6, 2), "as many windows and spatial axes"),
        (HiddenTerm(**TAPS), with_shape(3, 4, 4, 6), "as many windows and spatial axes"),
        (HiddenTerm(**TAPS), DistillationOutput(ROWS, ROWS), "tap a module that puts out a map"),
    ],
)
def test_what_cannot_be_compared_is_named(term, output, complaint):
    with pytest.raises(ValueError, match=complaint):
        evaluate(term, output)


def test_cross_attention_puts_the_teacher_in_by_chance_and_in_training_alone():
    output = make_tokens(1, torch.float64, 2)
    torch.manual_seed(0)
    term = fit(CrossAttentionTerm(**COARSE_TAPS), output)
    assert len({term(output, LABEL).item() for _ in range(20)}) > 3
    assert len({term.eval()(output, LABEL).item() for _ in range(5)}) == 1


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


def test_normalising_one_channel_is_refused():
    output = make_maps(1, torch.float64, 2, teacher=1)
    for term in (LatentTerm(**TAPS), GroupLinearTerm(**TAPS), CrossAttentionTerm(**TAPS)):
        with pytest.raises(ValueError, match="leaves nothing of it"):
            term.fit(output)
    LatentTerm(**TAPS, normalised=False).fit(output)


def test_parts_of_weight_zero_need_no_tap():
    fused = {name: x for name, x in FUSION.teacher.features.items() if "fused" in name}
    plain = DistillationOutput(FUSION.student, NetworkOutput(FUSION.teacher.logits, fused))
    assert evaluate(make_fusion_term(attention=0.0, gates=0.0), plain) > 0
    with pytest.raises(ValueError, match=r"cross_scale\.scale_attention"):
        make_fusion_term()(plain, LABEL)


def test_a_fusion_of_more_scales_is_named():
    rows_tap = "fusion.cross_scale.scale_attention"
    three = with_teacher(FUSION, lambda _: torch.full((2, 3, 3), 1 / 3), rows_tap)
    with pytest.raises(ValueError, match="each of the 3 scales"):
        make_fusion_term()(three, LABEL)


def test_a_gate_that_is_all_but_shut_still_has_a_slope():
    term = make_fusion_term(maps=0.0, attention=0.0)
    term.score.bias.data.copy_(torch.tensor([50.0, -50.0]))
    term(FUSION, LABEL).backward()
    assert term.score.bias.grad.abs().min() > 0.1


def test_a_row_that_is_all_but_shut_still_has_a_slope():
    scores = torch.tensor([[0.0, -15.0]], dtype=torch.float64, requires_grad=True)
    shares = scores.softmax(dim=-1) + LEAST_SHARE
    row_divergence(torch.tensor([[0.5, 0.5]], dtype=torch.float64), shares.log()).backward()
    assert scores.grad.abs().min() > 0.05
