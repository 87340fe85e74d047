"""Laws of single feature terms, and formulae written out anew in NumPy float64."""

import itertools

import numpy as np
import pytest
import torch

from monai_kd.distillation.distillation_loss import DistillationLoss
from monai_kd.distillation.distiller import Distiller
from monai_kd.distillation.projectors import (
    ChannelProjector,
    ConvProjector,
    CrossAttentionProjector,
    GroupLinearProjector,
)
from monai_kd.distillation.terms.affinity_term import AffinityTerm
from monai_kd.distillation.terms.attention_transfer_term import AttentionTransferTerm
from monai_kd.distillation.terms.correlation_term import CorrelationTerm
from monai_kd.distillation.terms.cross_attention_term import CrossAttentionTerm
from monai_kd.distillation.terms.feature_maps import read_map_pair, tokens_to_volume
from monai_kd.distillation.terms.fusion_transfer_term import FusionTransferTerm
from monai_kd.distillation.terms.group_linear_term import GroupLinearTerm
from monai_kd.distillation.terms.hidden_regressor_term import HiddenRegressorTerm
from monai_kd.distillation.terms.hidden_term import HiddenTerm
from monai_kd.distillation.terms.latent_term import LatentTerm
from monai_kd.distillation.terms.stage_heads_term import StageHeadsTerm
from monai_kd.networks import EfficientNetStudent, HybridTeacher, TappedNetwork
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.cases import REGIONS, make_random
from tests.distillation.feature_cases import (
    ALIKE,
    CHANNELS,
    COARSE,
    FINE,
    STUDENT,
    TAPS,
    TEACHER,
    make_alike,
    make_fusion,
    make_maps,
    make_tokens,
)

LABEL = torch.zeros(2, 1, 4, 6)
TOKEN_TAPS = {"student_tap": COARSE, "teacher_tap": COARSE}
EPSILON = 1e-6


def evaluate(term, output):
    torch.manual_seed(0)
    return term.double()(output, LABEL).item()


def numbers(output, tap=FINE):
    """The maps of both networks as arrays."""
    return tuple(said.features[tap].detach().numpy() for said in output)


def rows(volume):
    """Voxels of a map as rows, (B, N, C)."""
    return np.moveaxis(volume.reshape(*volume.shape[:2], -1), 1, 2)


def with_teacher(output, change, tap=FINE):
    """The output with the teacher's map changed."""
    features = {**output.teacher.features, tap: change(output.teacher.features[tap])}
    return DistillationOutput(output.student, NetworkOutput(output.teacher.logits, features))


def normal(values, axis=-1):
    centred = values - values.mean(axis, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis, keepdims=True) + EPSILON)


def softmax(values):
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def divergence(p, q):
    return (p * np.log(p / q)).sum(-1).mean()


def cosine_distance(first, second):
    """Half the squared distance of vectors of length one, which is 1 - cos."""
    first, second = (x / np.sqrt((x**2).sum(-1, keepdims=True) + EPSILON) for x in (first, second))
    return 0.5 * ((first - second) ** 2).sum(-1).mean()


def cosines(tokens):
    tokens = tokens / np.sqrt((tokens**2).sum(-1, keepdims=True) + EPSILON)
    return tokens @ tokens.swapaxes(1, 2)


def convolve(volume, layer):
    """What a 2D convolution of odd kernel makes of (B, C, H, W), offset by offset."""
    weight, bias = (x.detach().numpy() for x in (layer.weight, layer.bias))
    edge, (height, width) = weight.shape[-1] // 2, volume.shape[2:]
    padded = np.pad(volume, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    total = np.zeros((volume.shape[0], weight.shape[0], height, width)) + bias[:, None, None]
    for y, x in itertools.product(range(2 * edge + 1), repeat=2):
        window = padded[:, :, y : y + height, x : x + width]
        total += np.einsum("bchw,oc->bohw", window, weight[:, :, y, x])
    return total


def test_correlation_of_regions_follows_its_formula():
    output = make_maps(1, torch.float64, 2)
    student, teacher = (sigmoid(said.logits.detach().numpy() / 2) for said in output)
    inter = (normal(rows(student)) - normal(rows(teacher))) ** 2
    flat = [np.moveaxis(x, 1, 0).reshape(REGIONS, -1) for x in (student, teacher)]
    intra = (normal(flat[0]) - normal(flat[1])) ** 2
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
    assert evaluate(CorrelationTerm(**TAPS, inter=0.0), output) == pytest.approx(expected, abs=1e-6)


def test_correlation_knows_neither_scale_nor_offset():
    output = make_alike(1, torch.float64, 2)
    term = CorrelationTerm(**TAPS)
    turned = with_teacher(output, lambda x: 3 * x + 5)
    assert evaluate(term, turned) == pytest.approx(evaluate(term, output), abs=1e-5)


def test_correlation_of_opposites_is_two():
    output = make_alike(1, torch.float64, 2)
    opposite = with_teacher(output, lambda _: -output.student.features[FINE].detach())
    term = CorrelationTerm(**TAPS, inter=0.0)
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


def test_hidden_regressor_follows_its_formulae():
    output = make_maps(1, torch.float64, 2)
    term = HiddenRegressorTerm(**TAPS, **CHANNELS, spatial_dims=2).double()
    student, teacher = numbers(output)
    first, _, second = term.projector.project
    told = convolve(np.maximum(convolve(student, first), 0), second)
    assert evaluate(term, output) == pytest.approx(((told - teacher) ** 2).mean(), abs=1e-6)
    term.cosine = True
    expected = cosine_distance(rows(told), rows(teacher))
    assert evaluate(term, output) == pytest.approx(expected, abs=1e-6)


def test_latent_follows_its_formulae():
    output = make_maps(1, torch.float64, 2)
    term = LatentTerm(**TAPS, **CHANNELS, spatial_dims=2).double()
    student, teacher = numbers(output)
    told = convolve(student, term.projector.project)
    expected = np.abs(normal(told, axis=1) - normal(teacher, axis=1)).mean()
    assert evaluate(term, output) == pytest.approx(expected, abs=1e-6)
    term.normalised = False
    assert evaluate(term, output) == pytest.approx(np.abs(told - teacher).mean(), abs=1e-6)


def test_only_the_plain_latent_term_asks_for_the_magnitude_of_the_teacher():
    output = make_maps(1, torch.float64, 2)
    large = with_teacher(output, lambda x: 1000 * x)
    values = {
        normalised: [
            evaluate(LatentTerm(**TAPS, **CHANNELS, spatial_dims=2, normalised=normalised), said)
            for said in (output, large)
        ]
        for normalised in (True, False)
    }
    assert values[False][1] > 100 * values[False][0]
    assert values[True][1] < 2


def test_cross_attention_follows_its_formula():
    output = make_tokens(1, torch.float64, 2)
    term = CrossAttentionTerm(**TOKEN_TAPS, **CHANNELS, spatial_dims=2, replace=0).double()
    student, teacher = numbers(output, COARSE)
    split = rows(convolve(student, term.projector.split))
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
    term = CrossAttentionTerm(**TOKEN_TAPS, **CHANNELS, spatial_dims=2).double()
    assert len({term(output, LABEL).item() for _ in range(20)}) > 3
    assert len({term.eval()(output, LABEL).item() for _ in range(5)}) == 1


def test_group_linear_follows_its_formula():
    output = make_maps(1, torch.float64, 2)
    term = GroupLinearTerm(**TAPS, **CHANNELS, spatial_dims=2).double()
    student, teacher = numbers(output)
    weight = term.projector.project.weight.detach().numpy().reshape(4, TEACHER, STUDENT)
    bias = term.projector.project.bias.detach().numpy().reshape(4, TEACHER)
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
    term = StageHeadsTerm(
        student_taps=[COARSE],
        student_channels=[STUDENT],
        out_channels=REGIONS,
        spatial_dims=2,
        temperature=2.0,
    ).double()
    p = sigmoid(output.teacher.logits.numpy() / 2).reshape(2, REGIONS, 2, 2, 3, 2).mean((3, 5))
    q = sigmoid(convolve(numbers(output, COARSE)[0], term.heads[0].project) / 2)
    expected = 4 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    assert evaluate(term, output) == pytest.approx(expected, abs=1e-6)


def test_stage_heads_of_classes_follow_their_formula():
    output = make_maps(1, torch.float64, 2)
    heads = {"student_taps": [FINE], "student_channels": [STUDENT], "out_channels": REGIONS}
    term = StageHeadsTerm(**heads, spatial_dims=2, exclusive=True).double()
    p = softmax(rows(output.teacher.logits.numpy()))
    q = softmax(rows(convolve(numbers(output)[0], term.heads[0].project)))
    assert evaluate(term, output) == pytest.approx(divergence(p, q), abs=1e-6)


def make_fusion_term(**weights):
    torch.manual_seed(1)
    return FusionTransferTerm(
        student_taps=[FINE, COARSE],
        student_channels=[STUDENT, STUDENT],
        teacher_channels=[TEACHER, TEACHER],
        spatial_dims=2,
        **weights,
    ).double()


def test_fused_maps_are_compared_by_cosine_and_affinity():
    output, term = make_fusion(1, torch.float64, 2), make_fusion_term(attention=0.0, gates=0.0)
    expected = 0.0
    for scale, tap in enumerate((FINE, COARSE)):
        told = convolve(
            output.student.features[tap].detach().numpy(), term.projectors[scale].project
        )
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
    layers = [projector.project for projector in term.scales.projectors]
    tokens = np.concatenate([rows(convolve(*pair)) for pair in zip(maps, layers, strict=True)], 1)
    query, key = np.split(normal(tokens) @ term.scales.split.weight.detach().numpy().T, 2, axis=-1)
    seen = softmax(query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1]))
    seen = seen.reshape(2, 2, places, 2, places).sum(4).mean(2)
    means = tokens.reshape(2, 2, places, -1).mean(2).reshape(2, -1)
    weight, bias = (x.detach().numpy() for x in term.scales.score.parameters())
    said = output.teacher.features
    expected = 2 * divergence(said["fusion.cross_scale.scale_attention"].numpy(), seen)
    expected += 0.5 * divergence(said["fusion.gates"].numpy() / 2, softmax(means @ weight.T + bias))
    assert evaluate(term, output) == pytest.approx(expected, abs=1e-6)


def test_parts_of_weight_zero_need_no_tap():
    output = make_fusion(1, torch.float64, 2)
    fused = {name: x for name, x in output.teacher.features.items() if "fused" in name}
    plain = DistillationOutput(output.student, NetworkOutput(output.teacher.logits, fused))
    assert evaluate(make_fusion_term(attention=0.0, gates=0.0), plain) > 0
    with pytest.raises(ValueError, match=r"cross_scale\.scale_attention"):
        make_fusion_term()(plain, LABEL)


def test_a_real_pair_hands_over_its_fusion_and_its_tokens():
    torch.manual_seed(0)
    teacher = HybridTeacher(2, stage_channels=(4, 6), hidden_size=32, layers=2, patch_size=4)
    student = EfficientNetStudent(2, stages=((8, 0, 1, "early"), (16, 1, 1, "early")))
    found = ["fusion.fused.0", "fusion.fused.1", "fusion.cross_scale.scale_attention"]
    distiller = Distiller(
        TappedNetwork(student, taps=["encoder.0", "encoder.1"]),
        teacher=TappedNetwork(teacher, taps=[*found, "fusion.gates", "vit_branch.blocks.1"]),
    )
    stages = {"student_taps": ["encoder.0", "encoder.1"], "student_channels": [8, 16]}
    tokens = {"student_tap": "encoder.1", "teacher_tap": "vit_branch.blocks.1"}
    width = {"student_channels": 16, "teacher_channels": 32, "spatial_dims": 2}
    terms = {
        "fusion": FusionTransferTerm(**stages, teacher_channels=[4, 6], spatial_dims=2),
        "attention": CrossAttentionTerm(**tokens, **width),
        "groups": GroupLinearTerm(**tokens, **width),
        "affinity": AffinityTerm(**tokens),
    }
    loss = DistillationLoss(terms, weights=dict.fromkeys(terms, 1.0))
    before = {name: value.clone() for name, value in loss.named_parameters()}
    optimizer = torch.optim.Adam([*student.parameters(), *loss.parameters()], lr=0.1)
    loss(distiller.train()(torch.randn(2, 4, 16, 24)), LABEL).backward()
    optimizer.step()
    assert all(not torch.equal(value, before[name]) for name, value in loss.named_parameters())


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


PROJECTORS = [ChannelProjector, ConvProjector, CrossAttentionProjector, GroupLinearProjector]


@pytest.mark.parametrize("projector", PROJECTORS)
@pytest.mark.parametrize(
    ("channels", "dims", "complaint"),
    [((0, 4), 3, "from 0 to 4 channels"), ((4, 4), 1, "spatial_dims is 1")],
)
def test_impossible_projectors_are_refused(projector, channels, dims, complaint):
    with pytest.raises(ValueError, match=complaint):
        projector(*channels, spatial_dims=dims)


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
        (lambda: LatentTerm(**TAPS, student_channels=4, teacher_channels=1), "expected 2 or more"),
        (lambda: CrossAttentionTerm(**TAPS, **ALIKE, replace=1), "below 1"),
        (lambda: GroupLinearTerm(**TAPS, **ALIKE, groups=0), "groups is 0"),
        (
            lambda: StageHeadsTerm(student_taps=[FINE], student_channels=[], out_channels=3),
            "as many of both",
        ),
        (
            lambda: StageHeadsTerm(
                student_taps=[FINE], student_channels=[3], out_channels=3, temperature=0
            ),
            "temperature is 0",
        ),
        (lambda: make_fusion_term(gates=-1.0), "weights of 0 or more"),
        (
            lambda: FusionTransferTerm(
                student_taps=[FINE], student_channels=[3], teacher_channels=[4]
            ),
            "two or more",
        ),
    ],
)
def test_impossible_settings_are_refused(make_term, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_term()


@pytest.mark.parametrize(
    ("term", "complaint"),
    [
        (HiddenTerm(student_tap="fin", teacher_tap=FINE), "nearest is 'fine'"),
        (
            LatentTerm(**TAPS, student_channels=9, teacher_channels=TEACHER, spatial_dims=2),
            "set student_channels to 3",
        ),
        (
            LatentTerm(**TAPS, student_channels=STUDENT, teacher_channels=9, spatial_dims=2),
            "set teacher_channels to 4",
        ),
        (CorrelationTerm(**TAPS), r"projector=ChannelProjector\(before, 4\)"),
        (GroupLinearTerm(**TAPS, **CHANNELS, spatial_dims=2, groups=5), "set groups to 4 or less"),
    ],
)
def test_shapes_that_cannot_be_projected_are_named(term, complaint):
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


def test_a_fusion_of_more_scales_is_named():
    output = make_fusion(1, torch.float64, 2)
    rows_of_three = {"fusion.cross_scale.scale_attention": torch.full((2, 3, 3), 1 / 3)}
    said = NetworkOutput(output.teacher.logits, {**output.teacher.features, **rows_of_three})
    with pytest.raises(ValueError, match="each of the 3 scales"):
        make_fusion_term()(DistillationOutput(output.student, said), LABEL)
