"""One file per idea; every term maps `(output, label)` to a scalar."""

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
from monai_kd.distillation.terms.supervised_class_term import SupervisedClassTerm
from monai_kd.distillation.terms.supervised_region_term import SupervisedRegionTerm
from monai_kd.distillation.terms.unlabelled_term import UnlabelledTerm

__all__ = [
    "AffinityTerm",
    "AttentionTransferTerm",
    "BalancedSoftLabelTerm",
    "BoundaryTerm",
    "ChannelwiseTerm",
    "CorrelationTerm",
    "CrossAttentionTerm",
    "DeepSoftLabelTerm",
    "FusionTransferTerm",
    "GroupLinearTerm",
    "HiddenRegressorTerm",
    "HiddenTerm",
    "LatentTerm",
    "NestedDecoupledTerm",
    "SoftLabelTerm",
    "SoftOverlapTerm",
    "StageHeadsTerm",
    "SupervisedClassTerm",
    "SupervisedRegionTerm",
    "UnlabelledTerm",
]
