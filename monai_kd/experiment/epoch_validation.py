"""Validation every so many epochs, and after the last one whatever its number."""

from ignite.engine import Engine, Events
from monai.handlers import ValidationHandler


class EpochValidation(ValidationHandler):  # type: ignore[misc]  # MONAI is untyped to us
    """MONAI's `ValidationHandler`, which leaves out a last epoch that is no multiple of `interval`.

    So the last network, too, may be the best one that is kept.
    """

    def attach(self, engine: Engine) -> None:
        """Look at the end of each epoch whether it is one to validate."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Validate."""
        epoch = engine.state.epoch
        if epoch % self.interval == 0 or epoch == engine.state.max_epochs:
            super().__call__(engine)
