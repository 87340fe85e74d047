import logging

import pytest
import torch

from monai_kd.distillation import RunningMeanWeighing
from monai_kd.experiment import ExperimentError
from tests.experiment.conftest import make_distillation, make_items


@pytest.fixture
def warnings_of(tmp_path, caplog):
    """What the guard says of a training."""

    def train(spoil=lambda _network, _history: None, **options):
        trainer, network, history = make_distillation(folder=tmp_path, **options)
        spoil(network, history)
        with caplog.at_level(logging.WARNING, logger="monai_kd.experiment.guards"):
            trainer.run()
        return [r.getMessage() for r in caplog.records if r.name == "monai_kd.experiment.guards"]

    return train


def spoil_image(_network, items):
    items[1]["image"][0, 0, 0, 0] = float("inf")


def spoil_label(_network, items):
    items[1]["label"][0, 0, 0, 0] = float("inf")


def spoil_teacher(network, _items):
    network.teacher.weight[0, 0] = float("nan")


def spoil_student(network, _items):
    network.student.weight.data[0, 0] = float("nan")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (spoil_image, "case case_1: the image is not finite: fix the scan"),
        (spoil_label, "case case_1: the label is not finite"),
        (spoil_teacher, "case case_0, case_1, case_2: the teacher's logits are not finite though"),
        (spoil_student, "case case_0, case_1, case_2: the student's logits are not finite though"),
    ],
)
def test_a_loss_that_is_not_finite_is_traced_to_its_cause(tmp_path, spoil, expected):
    items = make_items()
    trainer, network, _ = make_distillation(items=items, folder=tmp_path)
    spoil(network, items)
    before = network.student.weight.clone()
    with pytest.raises(ExperimentError, match="in epoch 1, iteration 1") as caught:
        trainer.run()
    assert expected in str(caught.value)
    torch.testing.assert_close(network.student.weight, before, equal_nan=True, rtol=0, atol=0)


def test_a_term_that_is_not_finite_by_itself_is_named(tmp_path):
    trainer, _, history = make_distillation(folder=tmp_path)
    term = history.loss.terms["soft_label"]
    term.register_forward_hook(lambda _term, _inputs, value: value / 0, prepend=True)
    with pytest.raises(ExperimentError, match=r"term 'soft_label' is inf.*it is the term itself"):
        trainer.run()


def test_a_sound_training_is_not_warned_of(warnings_of):
    assert warnings_of(epochs=2) == []


def test_a_term_a_hundred_times_the_supervised_one_is_told_once(warnings_of):
    (message,) = warnings_of(soft_label=1e5, epochs=2)
    assert "term 'soft_label', weighed, is" in message
    assert "in epoch 1: lower its weight" in message


def test_a_weighing_keeps_a_term_from_dominating(warnings_of):
    weighing = RunningMeanWeighing()
    assert warnings_of(soft_label=50.0, weighing=weighing) == []


def collapse(network, _history):
    network.student.bias.data.fill_(-90.0)


def test_a_student_that_finds_nothing_in_a_whole_epoch_is_told(warnings_of):
    messages = warnings_of(collapse, epochs=3, soft_label=1e-3)
    assert ["found no foreground in any window of epoch 2" in m for m in messages] == [True]


@pytest.mark.parametrize("epochs", [1, 2])
def test_finding_nothing_is_right_at_first_or_where_there_is_nothing(warnings_of, epochs):
    items = make_items()
    for item in items[: 0 if epochs == 1 else 3]:
        item["label"].zero_()
    assert warnings_of(collapse, items=items, epochs=epochs, soft_label=1e-3) == []


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.0, "the teacher validated at a score of 0"),
        (None, "nobody knows how good the teacher is"),
    ],
)
def test_a_teacher_that_cannot_teach_is_told(warnings_of, score, expected):
    (message,) = warnings_of(teacher_score=score)
    assert expected in message


def test_a_teacher_worse_than_its_student_is_told(warnings_of):
    def validate(_network, history):
        history.records.append({"score": {"mean": 0.6}})

    (message,) = warnings_of(validate, teacher_score=0.5)
    assert "the student's validated score 0.600 is above the teacher's 0.500" in message
