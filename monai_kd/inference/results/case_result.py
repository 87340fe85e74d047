"""What was found in one case: all that its record, its files and its page say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monai_kd.inference.calibration import Trust
from monai_kd.inference.intervals import Interval
from monai_kd.inference.judging.verdict import Verdict
from monai_kd.inference.requests.opened_case import OpenedCase
from monai_kd.inference.results.lesions import Lesion
from monai_kd.inference.segmenting.segmentation import Segmentation


@dataclass(frozen=True, eq=False)
class CaseResult:
    """A case, its segmentation, and the verdict on both.

    `volumes_ml` are those of the mask. `agreement` of two opinions, and the `trusts` in each
    output, are there where the bundle is calibrated. `seconds` are those of each stage.
    """

    opened: OpenedCase
    segmentation: Segmentation
    verdict: Verdict
    lesions: Sequence[Lesion] = ()
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)
    trusts: Mapping[str, Trust] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def intervals(self) -> dict[str, Interval]:
        """Where each true volume lies, nine times in ten."""
        return {
            name: trust.interval(self.volumes_ml[name], agreement=self.agreement[name])
            for name, trust in self.trusts.items()
        }
