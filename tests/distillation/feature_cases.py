"""The cases of terms on features, for the laws of `test_laws.py`."""

from torch import nn

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
    """The term, whose projectors let their input pass."""

    def fit(output, build=term.fit):
        build(output)
        for module in term.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.dirac_(module.weight)
                nn.init.zeros_(module.bias)

    term.fit = fit
    return term


def make_heads(**arguments):
    return StageHeadsTerm(student_taps=[FINE, COARSE], **arguments)


def on_maps(name, make_term, *, make_output=make_maps, **facts):
    return Case(name, make_term, make_output, make_region_label, **facts)


FEATURE_CASES = [
    on_maps(
        "correlation",
        CorrelationTerm,
        equal=True,
        make_tempered=lambda t: CorrelationTerm(temperature=t),
    ),
    on_maps(
        "correlation of classes",
        lambda: CorrelationTerm(exclusive=True),
        equal=True,
        make_tempered=lambda t: CorrelationTerm(temperature=t, exclusive=True),
    ),
    on_maps(
        "correlation of features",
        lambda: CorrelationTerm(**TAPS),
        make_output=make_alike,
        equal=True,
    ),
    on_maps("projected correlation", lambda: CorrelationTerm(**TAPS)),
    on_maps("affinity", AffinityTerm, equal=True),
    on_maps("affinity of features", lambda: AffinityTerm(**TAPS, grid=3), equal=True),
    on_maps(
        "attention transfer",
        lambda: AttentionTransferTerm(student_taps=[FINE, COARSE], teacher_taps=[FINE, COARSE]),
        equal=True,
    ),
    on_maps("hidden", lambda: HiddenTerm(**TAPS), equal=True),
    on_maps("hidden divergence", lambda: HiddenTerm(**TAPS, divergence=True), equal=True),
    on_maps("hidden regressor", lambda: HiddenRegressorTerm(**TAPS), permutable=False),
    on_maps(
        "passing hidden regressor",
        lambda: passing(HiddenRegressorTerm(**TAPS, cosine=True)),
        make_output=make_alike,
        equal=True,
    ),
    on_maps("latent", lambda: LatentTerm(**TAPS)),
    on_maps(
        "passing latent", lambda: passing(LatentTerm(**TAPS)), make_output=make_alike, equal=True
    ),
    on_maps(
        "passing plain latent",
        lambda: passing(LatentTerm(**TAPS, normalised=False)),
        make_output=make_alike,
        equal=True,
    ),
    on_maps(
        "cross attention",
        lambda: CrossAttentionTerm(student_tap=COARSE, teacher_tap=COARSE, replace=0),
        make_output=make_tokens,
        permutable=False,
    ),
    on_maps("group linear", lambda: GroupLinearTerm(**TAPS), permutable=False),
    on_maps("stage heads", make_heads, make_tempered=lambda t: make_heads(temperature=t)),
    on_maps(
        "stage heads of classes",
        lambda: make_heads(exclusive=True, temperature=2.0),
        make_tempered=lambda t: make_heads(exclusive=True, temperature=t),
    ),
    on_maps(
        "fusion transfer",
        lambda: FusionTransferTerm(student_taps=[FINE, COARSE]),
        make_output=make_fusion,
    ),
]
