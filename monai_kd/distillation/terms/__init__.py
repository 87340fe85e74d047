"""One file per idea; every term maps `(output, label)` to a scalar."""

from monai_kd.distillation.terms.balanced_soft_label_term import BalancedSoftLabelTerm
from monai_kd.distillation.terms.boundary_term import BoundaryTerm
from monai_kd.distillation.terms.channelwise_term import ChannelwiseTerm
from monai_kd.distillation.terms.soft_overlap_term import SoftOverlapTerm
from monai_kd.distillation.terms.supervised_region_term import SupervisedRegionTerm
from monai_kd.distillation.terms.unlabelled_term import UnlabelledTerm

__all__ = [
    "BalancedSoftLabelTerm",
    "BoundaryTerm",
    "ChannelwiseTerm",
    "SoftOverlapTerm",
    "SupervisedRegionTerm",
    "UnlabelledTerm",
]
