import pytest
import torch
from ignite.engine import Events

from monai_kd.experiment.history import summarise_scores
from tests.experiment.conftest import make_distillation


def test_record_holds_loss_terms_score_and_seconds(make_training):
    training = make_training(1)
    training.trainer.run()
    (record,) = training.history.records
    assert record["loss"]["total"] == pytest.approx(record["loss"]["supervised"])
    assert set(record["score"]) == {"TC", "WT", "ET", "mean"}
    assert record["seconds"] > 0


def test_a_term_is_averaged_over_the_iterations_that_computed_it(tmp_path):
    trainer, _, history = make_distillation(folder=tmp_path, epochs=2, batch_size=1)
    heard = []

    def ramp(engine):
        heard.append(history.latest.get("soft_label"))
        history.loss.set_ramp(engine.state.iteration == 4)  # the second of the second epoch

    history.loss.set_ramp(0)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, ramp)
    trainer.run()
    first, second = (record["loss"] for record in history.records)
    assert set(first) == {"supervised", "total"}
    assert [value is None for value in heard] == [True] * 4 + [False, True]
    assert second["soft_label"] == pytest.approx(heard[4].item())


def test_last_score_skips_epochs_without_validation(make_training):
    history = make_training(1).history
    history.records = [{"score": {"mean": 0.5}}, {"score": None}]
    assert history.last_score() == {"mean": 0.5}


def test_a_region_absent_from_the_truth_does_not_count():
    nan = float("nan")
    details = torch.tensor([[0.5, 1.0, nan], [1.0, 1.0, nan]])
    summary = summarise_scores(details, outputs=("TC", "WT", "ET"))
    assert summary == {"TC": 0.75, "WT": 1.0, "ET": None, "mean": 0.875}
