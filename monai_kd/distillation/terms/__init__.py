"""One file per idea; every term maps `(output, label)` to a scalar."""

from monai_kd.distillation.terms.balanced_soft_label_term import BalancedSoftLabelTerm
from monai_kd.distillation.terms.supervised_region_term import SupervisedRegionTerm

__all__ = ["BalancedSoftLabelTerm", "SupervisedRegionTerm"]
