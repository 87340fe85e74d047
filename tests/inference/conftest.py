"""A bundle with random weights, packed as a trained one would be, and phantoms to segment."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_prep import write_phantoms
from data_prep.brats.sequences import SEQUENCES
from data_prep.case import Case, Dataset, ImageFile
from data_prep.checks import Inspection, inspect_case
from data_prep.layouts import find_dataset
from data_prep.scans.grid import turn_to_ras
from monai_kd import cli
from monai_kd.inference.segmenting.preparation import prepare_image
from monai_kd.inference.student import Student, read_student
from monai_kd.networks import EfficientNetStudent
from tests.damage.command import copy_case
from tests.inference.bundled import pack_random

WINDOW = [48, 60, 56]  # the box of the first phantom's brain, padded
Run = Callable[..., tuple[int, list[str], list[str]]]
DEFINITION: dict[str, Any] = {"stages": [[8, 0, 1, "early"], [8, 1, 2, "early"]]}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack_random(tmp_path_factory.mktemp("run"), DEFINITION, window=WINDOW)


@pytest.fixture(scope="session")
def student(bundle: Path) -> Student:
    return read_student(bundle)


@pytest.fixture
def own_bundle(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    made = tmp_path_factory.mktemp("made") / "phantoms"
    write_phantoms(made, cases=2, size=(72, 80, 64), workers=1)
    return find_dataset(made)


@pytest.fixture(scope="session")
def inspection(dataset: Dataset) -> Inspection:
    return inspect_case(replace(dataset.cases[0], label=None), dataset=dataset)


@pytest.fixture(scope="session")
def trained_bundle(
    bundle: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle, for torch alone, that knows the phantoms by heart: its masks are no noise."""
    own = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("trained") / "student"))
    (own / "models" / "model.onnx").unlink()
    torch.save(train_on(dataset), own / "models" / "model.pt")
    return own


def train_on(dataset: Dataset, steps: int = 30) -> dict[str, torch.Tensor]:
    """Weights after some seconds of training on whole phantoms."""
    pairs = [read_pair(inspect_case(case, dataset=dataset)) for case in dataset.cases]
    torch.manual_seed(0)
    network = EfficientNetStudent(**DEFINITION)
    optimizer = torch.optim.Adam(network.parameters(), 3e-2)
    for step in range(steps):
        image, truth = pairs[step % len(pairs)]
        logits = network(image)
        chance = logits.sigmoid()
        shared, both = (chance * truth).sum((2, 3, 4)), (chance + truth).sum((2, 3, 4))
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
        loss = 1 - ((2 * shared + 1) / (both + 1)).mean() + entropy
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.state_dict()


def read_pair(inspection: Inspection) -> tuple[torch.Tensor, torch.Tensor]:
    """One case as the network reads it, and its regions TC, WT, ET."""
    prepared = prepare_image(
        inspection.scans, modalities=SEQUENCES, spacing_mm=(1.0, 1.0, 1.0), divisor=4
    )
    assert inspection.label is not None
    label = turn_to_ras(inspection.label.values, inspection.label.affine)[prepared.box]
    truth = torch.zeros(1, 3, *prepared.image.shape[1:])
    for channel, region in enumerate((np.isin(label, (1, 4)), label > 0, label == 4)):
        truth[0, channel][prepared.inner] = torch.from_numpy(region.astype(np.float32))
    return torch.from_numpy(prepared.image)[None], truth


@pytest.fixture
def inspect(dataset: Dataset) -> Callable[[Path], Inspection]:
    """Read the four files of a folder, named by modality."""

    def read(folder: Path) -> Inspection:
        files = {name: ImageFile(folder / f"{name}.nii.gz") for name in dataset.modalities}
        case = Case("case", "case", "unknown", files, None)
        return inspect_case(case, dataset=replace(dataset, root=folder))

    return read


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("made") / "scans"
    return write_phantoms(made, cases=12, size=32, workers=1)


@pytest.fixture
def one(scans: Path, tmp_path: Path) -> Path:
    """A folder of one case."""
    copy_case(next(scans.glob("*/*")), tmp_path / "one" / "P1")
    return tmp_path / "one"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; return its exit code, what it said and what it complained."""

    def run(*words: object) -> tuple[int, list[str], list[str]]:
        code = cli.main([*map(str, words)])
        said, complained = capsys.readouterr()
        return code, said.splitlines(), complained.splitlines()

    return run
