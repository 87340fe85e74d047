import copy
import errno

import pytest
import torch
from torch import nn

from monai_kd.data.view_bank.hashing import hash_weights
from monai_kd.experiment.weights import load_weights, read_weights, save_state


def test_the_same_weights_make_the_same_file_and_the_same_hash(tmp_path):
    network = nn.Linear(3, 2)
    paths = [tmp_path / name for name in ("first.pt", "second.pt")]
    for path in paths:
        save_state(copy.deepcopy(network).state_dict(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    hashes = {hash_weights(read_weights(path)) for path in paths}
    with torch.no_grad():
        network.bias[0] += 1
    assert len(hashes | {hash_weights(network.state_dict())}) == 2


def test_weights_under_model_are_those_of_the_network(tmp_path):
    network, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save_state({"model": network.state_dict(), "epoch": 3}, tmp_path / "last.pt")
    load_weights(other, tmp_path / "last.pt")
    assert other.weight.equal(network.weight)


def test_a_disk_that_fills_up_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    save_state({"epoch": torch.tensor(1)}, path)

    def write_half(_state, file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", write_half)
    with pytest.raises(OSError, match="No space left"):
        save_state({"epoch": torch.tensor(2)}, path)
    monkeypatch.undo()
    assert read_weights(path) == {"epoch": torch.tensor(1)}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_full_disk_is_an_error_of_the_system_with_its_number():
    """Where torch opens a file itself, it says of a full disk that a position is unexpected."""
    with pytest.raises(OSError, match="No space left") as error, open("/dev/full", "wb") as file:
        torch.save({"weight": torch.zeros(100_000)}, file)
    assert error.value.errno == errno.ENOSPC
