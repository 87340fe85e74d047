"""Label values to the classes that exclude one another, numbered as a network's channels."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_kd.data.label_to_regions import make_unknown, unite


class LabelToClassesd(MapTransform):  # type: ignore[misc]  # MONAI is untyped to us
    """Turn a label (1 X Y Z) of a data set's values into numbers of classes, from 0.

    A value of no class is background, class 0. A case without label gets one that is -1
    everywhere, of the size of the image `image_key`: its truth is unknown.

    >>> step = LabelToClassesd("label", {"background": (0,), "left": (7,), "right": (9,)})
    >>> step({"label": torch.tensor([[0, 9, 7, 5]])})["label"]
    tensor([[0., 2., 1., 0.]])
    """

    def __init__(
        self,
        keys: KeysCollection,
        classes: Mapping[str, Sequence[int]],
        image_key: str = "image",
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.classes = {name: tuple(values) for name, values in classes.items()}
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with numbers of classes in the place of each label."""
        case = dict(data)
        for key in self.keys:
            if key in case:
                case[key] = self._number(case[key])
            else:
                case[key] = make_unknown(case, self.keys, image_key=self.image_key, channels=1)
        return case

    def _number(self, label: torch.Tensor) -> torch.Tensor:
        classes = torch.zeros_like(label, dtype=torch.float32)
        for number, values in enumerate(self.classes.values()):
            classes[unite(label, values)] = number
        return classes
