"""One phantom: everything that is drawn for a case, from its seed and number alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.phantom.anatomy import grow_anatomy
from data_prep.phantom.contrast import render
from data_prep.phantom.far_context import grow_ring_lesions
from data_prep.phantom.fields import Shape
from data_prep.phantom.tumour import grow_tumour

LOW_GRADE_EVERY = 4
GLIOMA, FAR_CONTEXT = "glioma", "far_context"
TASKS = (GLIOMA, FAR_CONTEXT)


@dataclass(frozen=True)
class PhantomCase:
    """Which phantom: its generator's seed, its number from 0, its shape in voxels, its task.

    Patients differ in their tissue and scanners make noise; `difficulty` is a factor on both.

    The task is `glioma`, a large tumour in every case, or `far_context`: cases of even number hold
    one ring lesion, a glioma, cases of odd number two, metastases, which bear no label.
    """

    seed: int
    number: int
    shape: Shape
    task: str = GLIOMA
    difficulty: float = 1.0

    @property
    def name(self) -> str:
        """As BraTS 2019 names a patient's first visit."""
        return f"BraTS19_PHANTOM_{self.number + 1:03d}_1"

    @property
    def grade(self) -> str:
        """One glioma in four is low grade, which does not enhance; a ring lesion never is."""
        last = self.number % LOW_GRADE_EVERY == LOW_GRADE_EVERY - 1
        return "LGG" if last and self.task == GLIOMA else "HGG"

    @property
    def metastatic(self) -> bool:
        """Tell whether the lesion has a twin in the other hemisphere."""
        return self.task == FAR_CONTEXT and self.number % 2 == 1


def make_volumes(case: PhantomCase) -> dict[str, npt.NDArray[np.int16]]:
    """Draw the four modalities and the label `seg`, each of `case.shape`."""
    streams = np.random.SeedSequence([case.seed, case.number]).spawn(3)
    body, disease, scanner = (np.random.Generator(np.random.PCG64(s)) for s in streams)
    anatomy = grow_anatomy(body, case.shape)
    if case.task == FAR_CONTEXT:
        tumour = grow_ring_lesions(disease, anatomy, metastatic=case.metastatic)
    else:
        tumour = grow_tumour(disease, anatomy, enhancing=case.grade == "HGG")
    return render(scanner, anatomy, tumour, difficulty=case.difficulty) | {"seg": tumour.label}
