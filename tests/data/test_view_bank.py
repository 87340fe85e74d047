import errno
import io
import os
import shutil

import pytest
import torch
from monai.data import DataLoader
from monai.engines.utils import PrepareBatchExtraInput
from monai.transforms import RandFlipd, RandSpatialCropSamplesd
from rich.console import Console
from torch import nn

from monai_kd.data.view_bank.banked_views import BankedViews
from monai_kd.data.view_bank.logit_store import LogitStore, ViewBankError
from monai_kd.data.view_bank.view_bank import ViewBank
from monai_kd.data.view_dataset import ViewDataset
from monai_kd.distillation import Distiller
from monai_kd.networks import EnsembleTeacher


class _CountingTeacher(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv3d(2, 3, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("asked", torch.zeros(()), persistent=False)

    def forward(self, image):
        self.asked += len(image) > 1  # windows of a view, not what it is recognised by
        return [4 * self.drop(self.conv(image)), image]


def dataset(*, seed=1, prob=0.5, views=2):
    images = torch.randn(2, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    records = [{"case": f"case_{i}", "image": image} for i, image in enumerate(images)]
    crop = RandSpatialCropSamplesd("image", (4, 4, 4), num_samples=2, random_size=False)
    return ViewDataset(records, [crop, RandFlipd("image", prob)], seed=seed, views=views)


def bank(folder, *, teacher=None, **options):
    return ViewBank(dataset(**options), teacher=teacher or _CountingTeacher(), folder=folder)


def fill(filled):
    screen = io.StringIO()
    return filled.fill(console=Console(file=screen, width=400)), screen.getvalue()


def test_replayed_logits_are_those_of_the_live_teacher(tmp_path):
    filled = bank(tmp_path)
    fill(filled)
    views = BankedViews(filled)
    for epoch in (1, 2, 3):
        views.start_epoch(epoch)
        for window in [window for i in range(len(views)) for window in views[i]]:
            live = filled.teacher(window["image"][None])[0][0]
            torch.testing.assert_close(
                window["teacher_logits"], live.as_tensor(), atol=0.01, rtol=0
            )


def test_the_teacher_is_asked_once_of_each_view_and_never_again(tmp_path):
    first, again = bank(tmp_path), bank(tmp_path)
    folder, said = fill(first)
    assert (first.teacher.asked, len(list(folder.glob("*.b2nd")))) == (4, 8)
    assert "4 of 4 views are missing, about" in said
    assert f"GB in {folder}" in said
    assert "all 4 views are in" in fill(again)[1]
    assert again.teacher.asked == 0


def test_an_interrupted_filling_goes_on(tmp_path):
    folder, _ = fill(bank(tmp_path))
    next(folder.glob("*.b2nd")).unlink()
    again = bank(tmp_path)
    assert "1 of 4 views are missing" in fill(again)[1]
    assert again.teacher.asked == 1


def test_a_changed_image_of_a_case_is_asked_about_again(tmp_path):
    fill(bank(tmp_path))
    other = bank(tmp_path)
    other.dataset.data[1]["image"] = torch.ones(2, 8, 8, 8)
    with pytest.raises(ViewBankError, match=r"no view like that of case case_1: fill it"):
        BankedViews(other)[1]
    assert "2 of 4 views are missing" in fill(other)[1]
    assert len(BankedViews(other)[1]) == 2


@pytest.mark.parametrize(
    "changed", [{"seed": 2}, {"prob": 1.0}, {"views": 3}, {"teacher": "other"}]
)
def test_another_teacher_transform_or_view_is_not_found(tmp_path, changed):
    fill(bank(tmp_path))
    if "teacher" in changed:
        changed = {"teacher": _CountingTeacher()}
        nn.init.zeros_(changed["teacher"].conv.bias)
    views = BankedViews(bank(tmp_path, **changed))
    views.start_epoch(3)
    with pytest.raises(ViewBankError, match=r"no view like that of case case_[01]: fill it"):
        [views[i] for i in range(len(views))]


def test_class_and_weights_and_settings_and_code_decide_where_a_teacher_keeps(tmp_path):
    conv = nn.Conv3d(2, 3, 3, padding=1)
    leaky = [nn.Sequential(conv, nn.LeakyReLU(slope)) for slope in (0.1, 0.2)]
    hidden = nn.Sequential(conv)
    hidden.register_buffer("shift", torch.ones(()), persistent=False)
    hidden.forward = lambda image: conv(image) + hidden.shift
    mirrored = EnsembleTeacher([conv], flips=[[0]])
    teachers = [conv, *leaky, hidden, EnsembleTeacher([conv]), mirrored, nn.Conv3d(2, 3, 3)]
    folders = {bank(tmp_path, teacher=teacher).open_store().folder for teacher in teachers}
    assert len(folders) == len(teachers)


def test_what_changes_while_a_teacher_runs_does_not_lose_its_bank(tmp_path):
    filled = bank(tmp_path)
    folder = filled.open_store().folder
    filled.teacher.train()
    filled.teacher.last_seconds = 0.3
    threads = torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        assert filled.open_store().folder == folder
    torch.set_num_threads(threads)


def test_a_teacher_that_answers_nan_is_told_with_the_case(tmp_path):
    filled = bank(tmp_path)
    filled.dataset.data[1]["image"] = torch.full((2, 8, 8, 8), torch.nan)
    with pytest.raises(ViewBankError, match="answers view 0 of case case_1 with NaN"):
        fill(filled)
    assert len(list(filled.open_store().folder.glob("*.b2nd"))) == 4


def test_what_a_killed_filling_left_is_swept_and_what_another_writes_is_not(tmp_path):
    folder = bank(tmp_path).open_store().folder
    folder.mkdir(parents=True)
    old, young = folder / ".a-1.b2nd", folder / ".b-2.b2nd"
    old.touch(), young.touch()
    os.utime(old, (0, 0))
    fill(bank(tmp_path))
    assert (old.exists(), young.exists()) == (False, True)


def test_a_disk_that_fills_up_is_told_and_what_is_stored_stays(tmp_path, monkeypatch):
    filled, write = bank(tmp_path), LogitStore.write

    def write_two(store, path, logits):
        if len(list(store.folder.glob("*.b2nd"))) == 2:
            raise OSError(errno.ENOSPC, "no space left on device")
        write(store, path, logits)

    monkeypatch.setattr(LogitStore, "write", write_two)
    with pytest.raises(ViewBankError, match=r"no room left .*: make room .* what is stored stays"):
        fill(filled)
    monkeypatch.undo()
    assert "3 of 4 views are missing" in fill(filled)[1]


def test_extreme_logits_stay_finite_and_keep_their_side(tmp_path):
    store = LogitStore(tmp_path)
    store.write(tmp_path / "a.b2nd", torch.tensor([-1e6, -50.0, -1.0, 1.0, 50.0, 1e6]))
    read = store.read(tmp_path / "a.b2nd")
    assert torch.isfinite(read).all()
    assert (read > 0).tolist() == [False] * 3 + [True] * 3


def test_what_float16_holds_comes_back_bit_for_bit(tmp_path):
    store, logits = LogitStore(tmp_path), torch.randn(3, 4, 4, 4).half()
    store.write(tmp_path / "a.b2nd", logits)
    assert torch.equal(store.read(tmp_path / "a.b2nd"), logits.float())


@pytest.mark.parametrize("place", [0, 40, -20, -1])
def test_a_damaged_file_is_not_read(tmp_path, place):
    store, path = LogitStore(tmp_path), tmp_path / "a.b2nd"
    store.write(path, torch.randn(3, 4, 4, 4))
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ViewBankError, match=r"a.b2nd is damaged: delete it"):
        store.read(path)


def test_a_disk_that_is_too_small_is_told_before_the_work(tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    small = bank(tmp_path)
    with pytest.raises(ViewBankError, match="has 1e-08 GB free: make room"):
        fill(small)
    assert small.teacher.asked == 1


def test_what_cannot_be_banked_is_refused(tmp_path):
    with pytest.raises(ViewBankError, match="none comes back"):
        bank(tmp_path, views=0)
    tapped = _CountingTeacher()
    tapped.taps = ["conv"]
    with pytest.raises(ViewBankError, match="the loss reads the teacher's conv, and a view bank"):
        bank(tmp_path, teacher=tapped)
    speechless = nn.Module()
    speechless.forward = lambda _image: {"logits": None}
    with pytest.raises(ViewBankError, match="the teacher answered with dict, expected logits"):
        fill(bank(tmp_path, teacher=speechless))


def test_stored_logits_reach_the_distiller_through_a_batch(tmp_path):
    filled = bank(tmp_path)
    fill(filled)
    batch = next(iter(DataLoader(BankedViews(filled), batch_size=1)))
    batch["label"] = torch.zeros(2, 3, 4, 4, 4)
    prepare = PrepareBatchExtraInput({"teacher_logits": "teacher_logits"})
    image, _, _, extra = prepare(batch)
    output = Distiller(nn.Conv3d(2, 3, 1))(image, **extra)
    assert torch.equal(output.teacher.logits, batch["teacher_logits"])
    assert output.teacher.logits.shape == output.student.logits.shape
