"""What the laws of `test_laws.py` are asked of: terms with outputs and labels that suit them."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from monai_kd.distillation.reliability_gate import ReliabilityGate
from monai_kd.distillation.term import Term
from monai_kd.distillation.terms.affinity_term import AffinityTerm
from monai_kd.distillation.terms.attention_transfer_term import AttentionTransferTerm
from monai_kd.distillation.terms.balanced_soft_label_term import BalancedSoftLabelTerm
from monai_kd.distillation.terms.boundary_term import BoundaryTerm
from monai_kd.distillation.terms.channelwise_term import ChannelwiseTerm
from monai_kd.distillation.terms.correlation_term import CorrelationTerm
from monai_kd.distillation.terms.cross_attention_term import CrossAttentionTerm
from monai_kd.distillation.terms.deep_soft_label_term import DeepSoftLabelTerm
from monai_kd.distillation.terms.fusion_transfer_term import FusionTransferTerm
from monai_kd.distillation.terms.group_linear_term import GroupLinearTerm
from monai_kd.distillation.terms.hidden_regressor_term import HiddenRegressorTerm
from monai_kd.distillation.terms.hidden_term import HiddenTerm
from monai_kd.distillation.terms.latent_term import LatentTerm
from monai_kd.distillation.terms.nested_decoupled_term import NestedDecoupledTerm
from monai_kd.distillation.terms.soft_label_term import SoftLabelTerm
from monai_kd.distillation.terms.soft_overlap_term import SoftOverlapTerm
from monai_kd.distillation.terms.stage_heads_term import StageHeadsTerm
from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.distillation.terms.unlabelled_term import UnlabelledTerm
from monai_kd.outputs import DistillationOutput, NetworkOutput

WINDOWS, REGIONS = 2, 3
SPACE = {2: (4, 6), 3: (4, 6, 2)}  # no two axes alike, so that a swapped one shows
STUDENT, TEACHER = 3, 4  # channels of features: not alike, so that a swapped pair shows
FINE, COARSE = "fine", "coarse"  # taps of two stages, one at full and one at half resolution
TAPS, COARSE_TAPS = ({"student_tap": tap, "teacher_tap": tap} for tap in (FINE, COARSE))
STAGES = {"student_taps": [FINE, COARSE]}


def make_random(
    seed: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float64, *, scale: float = 2.0
) -> Tensor:
    """Normal numbers of this scale, the same ones at each call."""
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


def make_region_label(seed: int, dtype: torch.dtype, dims: int) -> Tensor:
    """A label `(B, R, ...)` of 0 and 1."""
    return (make_random(seed, (WINDOWS, REGIONS, *SPACE[dims])) > 1.5).to(dtype)


def make_class_label(seed: int, dtype: torch.dtype, dims: int) -> Tensor:
    """A label `(B, 1, ...)` of class indices below `REGIONS`."""
    generator = torch.Generator().manual_seed(seed)
    shape = (WINDOWS, 1, *SPACE[dims])
    return torch.randint(0, REGIONS, shape, generator=generator).to(dtype)


def make_half_label(seed: int, dtype: torch.dtype, dims: int) -> Tensor:
    """A label of regions whose last window is unlabelled."""
    return hide(make_region_label(seed, dtype, dims))


def hide(label: Tensor) -> Tensor:
    """The label of the last window becomes unknown."""
    return torch.cat([label[:-1], torch.full_like(label[-1:], -1)])


def make_maps(
    seed: int, dtype: torch.dtype, dims: int, *, student: int = STUDENT, teacher: int = TEACHER
) -> DistillationOutput:
    """Logits, and maps of two stages, of both networks."""
    return DistillationOutput(
        say(seed, dtype, dims, channels=student, grad=True),
        say(seed + 50, dtype, dims, channels=teacher, grad=False),
    )


def say(seed: int, dtype: torch.dtype, dims: int, *, channels: int, grad: bool) -> NetworkOutput:
    half = [edge // 2 for edge in SPACE[dims]]
    shapes = (REGIONS, *SPACE[dims]), (channels, *SPACE[dims]), (channels, *half)
    logits, fine, coarse = (
        make_random(seed + place, (WINDOWS, *shape), dtype).requires_grad_(grad)
        for place, shape in enumerate(shapes)
    )
    return NetworkOutput(logits, {FINE: fine, COARSE: coarse})


def make_alike(seed: int, dtype: torch.dtype, dims: int) -> DistillationOutput:
    """Both networks have as many channels, and no feature is negative, as behind a ReLU."""
    output = make_maps(seed, dtype, dims, student=TEACHER)
    for feature in (value for said in output for value in said.features.values()):
        feature.data.abs_()
    return output


def make_levels(seed: int, dtype: torch.dtype, dims: int) -> DistillationOutput:
    """The student tells logits of a coarser level."""
    student, teacher = make_maps(seed, dtype, dims, student=REGIONS)
    return DistillationOutput(
        NetworkOutput(student.logits, {"deep.1": student.features[COARSE]}), teacher
    )


def make_fusion(seed: int, dtype: torch.dtype, dims: int) -> DistillationOutput:
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


def make_tokens(seed: int, dtype: torch.dtype, dims: int) -> DistillationOutput:
    """The teacher tells tokens, one for each voxel of the coarse map."""
    student, teacher = make_maps(seed, dtype, dims)
    tokens = teacher.features[COARSE].flatten(2).transpose(1, 2)
    return DistillationOutput(student, NetworkOutput(teacher.logits, {COARSE: tokens}))


class Case(NamedTuple):
    """One term, in one setting."""

    term: Callable[..., Term]
    settings: dict[str, Any] = {}  # noqa: RUF012 nobody changes it
    # (seed, dtype, dims) -> an output of at least 2 windows, anew at each call; all floating
    # tensors of the student are leaves that require grad, none of the teacher's do
    make_output: Callable[[int, torch.dtype, int], DistillationOutput] = make_maps
    # (seed, dtype, dims) -> a label that suits the output
    make_label: Callable[[int, torch.dtype, int], Tensor] = make_region_label
    # zero when the student's logits and features are the teacher's: both tell the same taps
    equal: bool = False
    # its projectors let their input pass
    passing: bool = False
    # permuting the spatial axes of all tensors changes nothing: false where a projector of more
    # than one voxel or tokens know about space
    permutable: bool = True
    needs_teacher: bool = True
    # what -1 as the label of a window does: "same" nothing; "skipped" the window does not count;
    # "mask" the teacher's mask stands for the truth; "else" another part of its answer does
    unlabelled: Literal["same", "skipped", "mask", "else"] = "same"
    # has a temperature, whose square keeps the gradient's scale at small logits
    tempered: bool = False

    def fit(self, output: DistillationOutput, **changes: Any) -> Term:
        """The term with the same weights at each call, fitted to an output."""
        torch.manual_seed(0)
        term = self.term(**self.settings | changes)
        term.fit(output)
        for module in term.modules() if self.passing else ():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.dirac_(module.weight)
                nn.init.zeros_(module.bias)
        return term


def of_both(term: Callable[..., Term], settings: dict[str, Any], **facts: Any) -> list[Case]:
    """One case for regions and one for classes."""
    of_classes = Case(term, {**settings, "exclusive": True}, make_label=make_class_label, **facts)
    return [Case(term, settings, **facts), of_classes]


GATED = {"gate": ReliabilityGate()}
SHARP = {"equal": True, "tempered": True}
ALIKE = {"make_output": make_alike, "equal": True, "passing": True}
FUSION_PARTS = ({"maps": 0, "gates": 0}, {"maps": 0, "attention": 0}, {"attention": 0, "gates": 0})
CASES = [
    *of_both(BalancedSoftLabelTerm, {"dilation": 0}, **SHARP, unlabelled="mask"),
    *of_both(BalancedSoftLabelTerm, {}, tempered=True, unlabelled="mask"),
    *of_both(BalancedSoftLabelTerm, {"balanced": False}, **SHARP),
    *of_both(BalancedSoftLabelTerm, GATED, equal=True, unlabelled="else"),
    *of_both(BoundaryTerm, {}, **SHARP, unlabelled="mask"),
    *of_both(SoftOverlapTerm, {}, equal=True),
    *of_both(SoftOverlapTerm, {"hard": True}),
    *of_both(SoftOverlapTerm, GATED, equal=True, unlabelled="else"),
    *of_both(
        SupervisedTerm, {}, make_output=make_levels, needs_teacher=False, unlabelled="skipped"
    ),
    *of_both(CorrelationTerm, {}, **SHARP),
    *of_both(StageHeadsTerm, STAGES, tempered=True),
    Case(ChannelwiseTerm, **SHARP),
    Case(NestedDecoupledTerm, {"order": (1, 0, 2)}, equal=True, unlabelled="else"),
    Case(SoftLabelTerm, make_label=make_class_label, unlabelled="else"),
    Case(SoftLabelTerm, {"alpha": 1.0}, make_label=make_class_label, **SHARP),
    Case(DeepSoftLabelTerm, make_output=make_levels, tempered=True, unlabelled="mask"),
    Case(DeepSoftLabelTerm, {"exclusive": True}, make_levels, make_class_label, tempered=True),
    Case(UnlabelledTerm, {"term": SoftOverlapTerm()}, make_label=make_half_label, equal=True),
    Case(CorrelationTerm, TAPS),
    Case(CorrelationTerm, TAPS, make_alike, equal=True),
    Case(AffinityTerm, equal=True),
    Case(AffinityTerm, {**TAPS, "grid": 3}, equal=True),
    Case(AttentionTransferTerm, {**STAGES, "teacher_taps": [FINE, COARSE]}, equal=True),
    Case(HiddenTerm, TAPS, equal=True),
    Case(HiddenTerm, {**TAPS, "divergence": True}, equal=True),
    Case(HiddenRegressorTerm, TAPS, permutable=False),
    Case(HiddenRegressorTerm, {**TAPS, "cosine": True}, **ALIKE),
    Case(LatentTerm, TAPS),
    Case(LatentTerm, TAPS, **ALIKE),
    Case(LatentTerm, {**TAPS, "normalised": False}, **ALIKE),
    Case(CrossAttentionTerm, {**COARSE_TAPS, "replace": 0}, make_tokens, permutable=False),
    Case(GroupLinearTerm, TAPS, permutable=False),
    Case(FusionTransferTerm, STAGES, make_fusion),
    *[Case(FusionTransferTerm, STAGES | part, make_fusion) for part in FUSION_PARTS],
]
