"""The same views in the same epoch, whoever trains and however often it was interrupted."""

from ignite.engine import Engine, Events
from monai.utils import set_determinism

from monai_kd.data.view_bank.banked_views import BankedViews
from monai_kd.data.view_dataset import ViewDataset


class EpochSeed:
    """Seeds the order at the start of each epoch, and has the data set show the epoch's views.

    So student and twin see the same views in the same order where all cases are labelled, and a
    resumed run sees those that an uninterrupted one would have seen.
    """

    def __init__(self, dataset: ViewDataset | BankedViews, *, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Seed before the trainer makes the epoch's iterator."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed Python, NumPy and torch; turn the data set to this epoch."""
        set_determinism(seed=self.seed * 100_003 + engine.state.epoch)
        self.dataset.start_epoch(engine.state.epoch)
