import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.transforms import RandFlipd
from torch import nn

from monai_kd.data.view_dataset import ViewDataset
from monai_kd.experiment import EpochSeed
from tests.experiment.conftest import make_items


def views_seen(*, first_epoch=1, disturb=False):
    """Images in the order in which a trainer sees them, by epoch."""
    dataset = ViewDataset(make_items(), RandFlipd("image", prob=0.5), seed=4)
    network = nn.Conv3d(4, 3, 1)
    seen = {}

    def remember(engine):
        seen.setdefault(engine.state.epoch, []).append(engine.state.output["image"])
        if disturb:
            torch.rand(7)

    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=3,
        train_data_loader=DataLoader(dataset, batch_size=1, shuffle=True),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.0),
        loss_function=nn.BCEWithLogitsLoss(),
        train_handlers=[EpochSeed(dataset, seed=4)],
        decollate=False,
    )
    trainer.add_event_handler(Events.ITERATION_COMPLETED, remember)
    trainer.state.epoch = first_epoch - 1
    trainer.state.iteration = (first_epoch - 1) * 3
    trainer.run()
    return {epoch: torch.cat(images) for epoch, images in seen.items()}


def test_two_trainings_see_the_same_views_whatever_else_draws_random_numbers():
    first, second = views_seen(), views_seen(disturb=True)
    assert all(torch.equal(first[epoch], second[epoch]) for epoch in (1, 2, 3))


def test_a_resumed_training_sees_the_views_of_an_uninterrupted_one():
    whole, resumed = views_seen(), views_seen(first_epoch=3)
    assert torch.equal(whole[3], resumed[3])


def test_each_epoch_has_views_of_its_own():
    views = views_seen()
    assert not torch.equal(views[1], views[2])
