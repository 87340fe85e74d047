"""One phantom: everything that is drawn for a case, from its seed and number alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.phantom.anatomy import grow_anatomy
from data_prep.phantom.contrast import render
from data_prep.phantom.fields import Shape
from data_prep.phantom.tumour import grow_tumour

LOW_GRADE_EVERY = 4


@dataclass(frozen=True)
class PhantomCase:
    """Which phantom: its generator's seed, its number from 0, its shape in voxels."""

    seed: int
    number: int
    shape: Shape

    @property
    def name(self) -> str:
        """As BraTS 2019 names a patient's first visit."""
        return f"BraTS19_PHANTOM_{self.number + 1:03d}_1"

    @property
    def grade(self) -> str:
        """One in four is low grade, which does not enhance."""
        return "LGG" if self.number % LOW_GRADE_EVERY == LOW_GRADE_EVERY - 1 else "HGG"


def make_volumes(case: PhantomCase) -> dict[str, npt.NDArray[np.int16]]:
    """Draw the four modalities and the label `seg`, each of `case.shape`."""
    streams = np.random.SeedSequence([case.seed, case.number]).spawn(3)
    body, disease, scanner = (np.random.Generator(np.random.PCG64(s)) for s in streams)
    anatomy = grow_anatomy(body, case.shape)
    tumour = grow_tumour(disease, anatomy, enhancing=case.grade == "HGG")
    return render(scanner, anatomy, tumour) | {"seg": tumour.label}
