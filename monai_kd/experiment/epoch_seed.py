"""The same views in the same epoch, whoever trains and however often it was interrupted."""

from ignite.engine import Engine, Events
from monai.data import Dataset
from monai.utils import set_determinism


class EpochSeed:
    """Seeds order, crops and augmentation at the start of each epoch from `(seed, epoch)`.

    So student and twin see the same windows in the same order, and a resumed run sees those that
    an uninterrupted one would have seen.
    """

    def __init__(self, dataset: Dataset, *, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Seed before the trainer makes the epoch's iterator."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed Python, NumPy, torch and the data set's random transforms."""
        seed = self.seed * 100_003 + engine.state.epoch
        set_determinism(seed=seed)
        self.dataset.transform.set_random_state(seed=seed)
