"""The cases of terms on features, for the laws of `test_laws.py`."""

from functools import partial

from torch import nn

from monai_kd.distillation.projectors import ChannelProjector
from monai_kd.distillation.terms.affinity_term import AffinityTerm
from monai_kd.distillation.terms.attention_transfer_term import AttentionTransferTerm
from monai_kd.distillation.terms.correlation_term import CorrelationTerm
from monai_kd.distillation.terms.cross_attention_term import CrossAttentionTerm
from monai_kd.distillation.terms.fusion_transfer_term import FusionTransferTerm
from monai_kd.distillation.terms.group_linear_term import GroupLinearTerm
from monai_kd.distillation.terms.hidden_regressor_term import HiddenRegressorTerm
from monai_kd.distillation.terms.hidden_term import HiddenTerm
from monai_kd.distillation.terms.latent_term import LatentTerm
from monai_kd.distillation.terms.stage_heads_term import StageHeadsTerm
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.cases import (
    REGIONS,
    SPACE,
    WINDOWS,
    Case,
    make_random,
    make_region_label,
)

STUDENT, TEACHER = 3, 4  # channels: not alike, so that a swapped pair shows
FINE, COARSE = "fine", "coarse"  # taps of two stages, one at full and one at half resolution
TAPS = {"student_tap": FINE, "teacher_tap": FINE}
CHANNELS = {"student_channels": STUDENT, "teacher_channels": TEACHER}
ALIKE = {"student_channels": TEACHER, "teacher_channels": TEACHER}


def make_maps(seed, dtype, dims, *, student=STUDENT, teacher=TEACHER):
    """Logits, and maps of two stages, of both networks."""
    return DistillationOutput(
        say(seed, dtype, dims, channels=student, grad=True),
        say(seed + 50, dtype, dims, channels=teacher, grad=False),
    )


def make_alike(seed, dtype, dims):
    """Both networks have as many channels, and no feature is negative, as behind a ReLU."""
    output = make_maps(seed, dtype, dims, student=TEACHER)
    return DistillationOutput(
        *[
            NetworkOutput(
                said.logits,
                {
                    tap: value.detach().abs().requires_grad_(value.requires_grad)
                    for tap, value in said.features.items()
                },
            )
            for said in output
        ]
    )


def make_fusion(seed, dtype, dims):
    """The teacher tells what its fusion found at two scales."""
    student, teacher = make_maps(seed, dtype, dims)
    rows = make_random(seed + 90, (WINDOWS, 2, 2), dtype).softmax(-1)
    gates = 2 * make_random(seed + 91, (WINDOWS, 2), dtype).softmax(-1)
    features = {
        "fusion.fused.0": teacher.features[FINE],
        "fusion.fused.1": teacher.features[COARSE],
        "fusion.cross_scale.scale_attention": rows,
        "fusion.gates": gates,
    }
    return DistillationOutput(student, NetworkOutput(teacher.logits, features))


def make_tokens(seed, dtype, dims):
    """The teacher tells tokens, one for each voxel of the coarse map."""
    student, teacher = make_maps(seed, dtype, dims)
    tokens = teacher.features[COARSE].flatten(2).transpose(1, 2)
    return DistillationOutput(student, NetworkOutput(teacher.logits, {COARSE: tokens}))


def say(seed, dtype, dims, *, channels, grad):
    logits = make_random(seed, (WINDOWS, REGIONS, *SPACE[dims]), dtype)
    fine = make_random(seed + 1, (WINDOWS, channels, *SPACE[dims]), dtype)
    half = [edge // 2 for edge in SPACE[dims]]
    coarse = make_random(seed + 2, (WINDOWS, channels, *half), dtype)
    tensors = [tensor.requires_grad_(grad) for tensor in (logits, fine, coarse)]
    return NetworkOutput(tensors[0], {FINE: tensors[1], COARSE: tensors[2]})


def passing(term):
    """The term with projectors that let their input pass."""
    for module in term.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.dirac_(module.weight)
            nn.init.zeros_(module.bias)
    return term


def make_heads(dims, **arguments):
    return StageHeadsTerm(
        student_taps=[FINE, COARSE],
        student_channels=[STUDENT, STUDENT],
        out_channels=REGIONS,
        spatial_dims=dims,
        **arguments,
    )


def without_projector(name, make_term, *, equal=True, make_output=make_maps, make_tempered=None):
    return Case(
        name,
        make_term,
        make_output,
        make_region_label,
        equal=equal,
        make_tempered=make_tempered,
    )


def with_projector(
    name, make_term, *, make_output=make_maps, equal=False, permutable=True, make_tempered=None
):
    """A case for 2D and one for 3D: `make_term(dims)`, `make_tempered(dims, temperature)`."""
    return [
        Case(
            f"{name} {dims}D",
            lambda dims=dims: make_term(dims),
            make_output,
            make_region_label,
            equal=equal,
            permutable=permutable,
            make_tempered=make_tempered and partial(make_tempered, dims),
            dims=(dims,),
        )
        for dims in (2, 3)
    ]


FEATURE_CASES = [
    without_projector(
        "correlation", CorrelationTerm, make_tempered=lambda t: CorrelationTerm(temperature=t)
    ),
    without_projector(
        "correlation of classes",
        lambda: CorrelationTerm(exclusive=True),
        make_tempered=lambda t: CorrelationTerm(temperature=t, exclusive=True),
    ),
    without_projector(
        "correlation of features", lambda: CorrelationTerm(**TAPS), make_output=make_alike
    ),
    *with_projector(
        "projected correlation",
        lambda dims: CorrelationTerm(
            **TAPS, projector=ChannelProjector(STUDENT, TEACHER, spatial_dims=dims)
        ),
    ),
    without_projector("affinity", AffinityTerm),
    without_projector("affinity of features", lambda: AffinityTerm(**TAPS, grid=3)),
    without_projector(
        "attention transfer",
        lambda: AttentionTransferTerm(student_taps=[FINE, COARSE], teacher_taps=[FINE, COARSE]),
    ),
    without_projector("hidden", lambda: HiddenTerm(**TAPS)),
    without_projector("hidden divergence", lambda: HiddenTerm(**TAPS, divergence=True)),
    *with_projector(
        "hidden regressor",
        lambda dims: HiddenRegressorTerm(**TAPS, **CHANNELS, spatial_dims=dims),
        permutable=False,
    ),
    *with_projector(
        "passing hidden regressor",
        lambda dims: passing(HiddenRegressorTerm(**TAPS, **ALIKE, spatial_dims=dims, cosine=True)),
        make_output=make_alike,
        equal=True,
    ),
    *with_projector("latent", lambda dims: LatentTerm(**TAPS, **CHANNELS, spatial_dims=dims)),
    *with_projector(
        "passing latent",
        lambda dims: passing(LatentTerm(**TAPS, **ALIKE, spatial_dims=dims)),
        make_output=make_alike,
        equal=True,
    ),
    *with_projector(
        "passing plain latent",
        lambda dims: passing(LatentTerm(**TAPS, **ALIKE, spatial_dims=dims, normalised=False)),
        make_output=make_alike,
        equal=True,
    ),
    *with_projector(
        "cross attention",
        lambda dims: CrossAttentionTerm(
            student_tap=COARSE, teacher_tap=COARSE, **CHANNELS, spatial_dims=dims, replace=0
        ),
        make_output=make_tokens,
        permutable=False,
    ),
    *with_projector(
        "group linear",
        lambda dims: GroupLinearTerm(
            student_tap=FINE, teacher_tap=FINE, **CHANNELS, spatial_dims=dims
        ),
        permutable=False,
    ),
    *with_projector(
        "stage heads",
        make_heads,
        make_tempered=lambda dims, t: make_heads(dims, temperature=t),
    ),
    *with_projector(
        "stage heads of classes",
        lambda dims: make_heads(dims, exclusive=True, temperature=2.0),
        make_tempered=lambda dims, t: make_heads(dims, exclusive=True, temperature=t),
    ),
    *with_projector(
        "fusion transfer",
        lambda dims: FusionTransferTerm(
            student_taps=[FINE, COARSE],
            student_channels=[STUDENT, STUDENT],
            teacher_channels=[TEACHER, TEACHER],
            spatial_dims=dims,
        ),
        make_output=make_fusion,
    ),
]
