import json
import math

import torch
from ignite.engine import Events
from torch import nn

from monai_kd.experiment.epoch_checkpoint import is_finished


def test_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(
    make_training, tmp_path
):
    straight = make_training(4, folder=tmp_path / "straight")
    straight.trainer.run()
    first = make_training(4)
    first.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=2), first.trainer.terminate)
    first.trainer.run()
    second = make_training(4)
    second.trainer.run()
    assert second.trainer.state.epoch == 4
    for name, value in straight.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], value), name


def test_history_of_an_interrupted_training_has_every_epoch_once(make_training):
    make_training(2).trainer.run()
    resumed = make_training(3)
    resumed.trainer.run()
    saved = json.loads((resumed.folder / "history.json").read_text())
    assert [record["epoch"] for record in saved["records"]] == [1, 2, 3]
    assert {"total", "supervised"} == set(saved["records"][0]["loss"])


def test_best_network_survives_a_resume_that_only_gets_worse(make_training):
    training = make_training(2)
    training.trainer.run()
    best = torch.load(training.folder / "model.pt", weights_only=True)
    worse = make_training(3)
    worse.trainer.add_event_handler(
        Events.EPOCH_STARTED, lambda _: nn.init.constant_(worse.network.bias, -100.0)
    )
    worse.trainer.run()
    kept = torch.load(training.folder / "model.pt", weights_only=True)
    assert all(torch.equal(kept[name], best[name]) for name in best)


def test_best_checkpoint_is_the_plain_state_dict_of_the_bare_network(make_training):
    training = make_training(1)
    training.trainer.run()
    nn.Conv3d(4, 3, 3, padding=1).load_state_dict(
        torch.load(training.folder / "model.pt", weights_only=True)
    )


def test_finished_training_runs_no_further_step(make_training):
    make_training(2).trainer.run()
    again = make_training(2)
    again.trainer.add_event_handler(Events.ITERATION_STARTED, lambda _: 1 / 0)
    again.trainer.run()
    assert is_finished(again.folder)


def test_a_history_lost_by_a_kill_is_written_again(make_training):
    training = make_training(1)
    training.trainer.run()
    (training.folder / "history.json").unlink()
    make_training(1).trainer.run()
    assert is_finished(training.folder)


def test_a_folder_is_finished_only_after_its_last_epoch(make_training):
    training = make_training(2)
    training.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), training.trainer.terminate)
    assert not is_finished(training.folder)
    training.trainer.run()
    assert not is_finished(training.folder)


def test_last_weights_are_kept_where_no_epoch_was_validated(make_training):
    training = make_training(1)
    training.history.validator.run = lambda _epoch: None
    training.trainer.run()
    assert training.checkpoint.best_score == -math.inf
    assert (training.folder / "model.pt").is_file()


def test_no_temporary_file_stays_behind(make_training):
    training = make_training(2)
    training.trainer.run()
    names = {path.name for path in training.folder.iterdir()}
    assert names == {"history.json", "last.pt", "model.pt"}
