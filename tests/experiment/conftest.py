import json
from types import SimpleNamespace

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import MeanDice, ValidationHandler, from_engine
from monai.transforms import AsDiscreted, RandFlipd
from torch import nn

from monai_kd.data.view_dataset import ViewDataset
from monai_kd.distillation import DistillationLoss, Distiller
from monai_kd.distillation.terms.balanced_soft_label_term import BalancedSoftLabelTerm
from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.experiment import EpochCheckpoint, EpochSeed, History
from monai_kd.experiment.guards import DistillationGuard

REGIONS = ("TC", "WT", "ET")


def make_items(count=3):
    generator = torch.Generator().manual_seed(5)
    items = []
    for number in range(count):
        image = torch.randn(4, 8, 8, 8, generator=generator)
        items.append({"case": f"case_{number}", "image": image, "label": (image[:3] > 0.5).float()})
    return items


NEVER_VALIDATED = SimpleNamespace(state=SimpleNamespace(epoch=0))


def make_distillation(
    *,
    folder,
    items=None,
    soft_label=1.0,
    weighing=None,
    teacher_score=0.9,
    epochs=1,
    batch_size=3,
):
    """A student that learns from its labels and from a random teacher."""
    torch.manual_seed(3)
    student, teacher = nn.Conv3d(4, 3, 1), nn.Conv3d(4, 3, 1)
    terms = {
        "supervised": SupervisedTerm(),
        "soft_label": BalancedSoftLabelTerm(weight=soft_label),
    }
    loss = DistillationLoss(terms, weighing=weighing)
    history = History(loss, validator=NEVER_VALIDATED, outputs=REGIONS)
    teacher_history = folder / "history.json"
    if teacher_score is not None:
        records = [{"score": {"mean": score}} for score in (0.0, teacher_score)] + [{"score": None}]
        teacher_history.write_text(json.dumps({"records": records}))
    dataset = ViewDataset(make_items() if items is None else items, [], seed=0)
    guard = DistillationGuard(history, teacher_history=teacher_history)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(dataset, batch_size=batch_size),
        network=Distiller(student, teacher=teacher),
        optimizer=torch.optim.SGD(student.parameters(), lr=0.001),
        loss_function=loss,
        decollate=False,
        train_handlers=[EpochSeed(dataset, seed=0), history, guard],
    )
    return trainer, trainer.network, history


@pytest.fixture
def make_training(tmp_path):
    """A small real training: trainer, network, history, checkpoint."""

    def make(epochs, *, folder=tmp_path / "student", handlers=()):
        torch.manual_seed(3)
        network = nn.Conv3d(4, 3, 3, padding=1)
        dataset = ViewDataset(make_items(), RandFlipd(["image", "label"], prob=0.5), seed=1)
        loss = DistillationLoss({"supervised": SupervisedTerm()})
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.05)
        validator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(Dataset(make_items()), batch_size=1),
            network=network,
            postprocessing=AsDiscreted(keys="pred", threshold=0.0),
            key_val_metric={"dice": MeanDice(output_transform=from_engine(["pred", "label"]))},
        )
        history = History(loss, validator=validator, outputs=REGIONS)
        parts = {"network": network, "optimizer": optimizer}
        checkpoint = EpochCheckpoint(str(folder), network=network, parts=parts, history=history)
        trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=epochs,
            train_data_loader=DataLoader(dataset, batch_size=1, shuffle=True),
            network=Distiller(network),
            optimizer=optimizer,
            loss_function=loss,
            decollate=False,
            train_handlers=[
                ValidationHandler(1, validator),
                EpochSeed(dataset, seed=1),
                checkpoint,
                *[handler(history) for handler in handlers],
            ],
        )
        return SimpleNamespace(
            trainer=trainer, network=network, history=history, checkpoint=checkpoint, folder=folder
        )

    return make
