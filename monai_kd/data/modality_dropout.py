"""Training for scans of which some sequences are missing."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform


class RandModalityDropoutd(RandomizableTransform, MapTransform):  # type: ignore[misc]
    """With probability `prob` keep a random subset of the channels (C X Y Z) and blank the others.

    Every subset but the empty and the full one is equally likely, so any sequence may be missing
    and never all. A blank channel is 0, as a missing sequence is in inference.
    """

    def __init__(
        self, keys: KeysCollection, prob: float = 0.5, allow_missing_keys: bool = False
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.kept = np.ones(1, dtype=bool)

    def randomize(self, channels: int) -> None:
        """Draw whether channels are dropped, and which are kept."""
        super().randomize(None)
        subset = int(self.R.randint(1, max(2**channels - 1, 2)))
        self.kept = np.array([subset >> channel & 1 for channel in range(channels)], dtype=bool)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with the same channels of each image blank."""
        case = dict(data)
        self.randomize(len(case[self.first_key(case)]))
        for key in self.key_iterator(case):
            if self._do_transform:
                case[key] = case[key].clone()
                case[key][~self.kept] = 0
        return case
