import pytest
import torch

from monai_kd.experiment import ExperimentError
from monai_kd.experiment.place import check_place


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_cpu_is_there_by_word_and_by_object(device):
    check_place(device)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_cuda_that_is_not_there_is_named_with_what_is(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ExperimentError, match=f"device is '{device}', .* finds 0 CUDA devices: "):
        check_place(device)


def test_cuda_that_is_there_is_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_place("cuda")
    check_place("cuda:1")
    with pytest.raises(ExperimentError, match="finds 2 CUDA devices"):
        check_place("cuda:2")


@pytest.mark.parametrize("device", ["gpu", 7.5, None])
def test_what_is_no_device_is_refused(device):
    with pytest.raises(ExperimentError, match=r"device is .*, expected cpu, cuda, or one of"):
        check_place(device)


def test_several_processes_are_refused_until_they_share_the_work(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    check_place("cpu")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ExperimentError, match="2 processes were started, as by torchrun"):
        check_place("cpu")
