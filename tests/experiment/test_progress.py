import io

import pytest
from rich.console import Console

from monai_kd.experiment import DistillationGuard, ExperimentError, ProgressDisplay
from monai_kd.experiment.progress import describe


def run_with_display(make_training, *, terminal, epochs=2):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=160, highlight=False)
    training = make_training(
        epochs, handlers=[lambda h: ProgressDisplay("student", history=h, console=console)]
    )
    training.trainer.run()
    return screen.getvalue()


def test_plain_lines_tell_epoch_terms_dice_and_time_left(make_training):
    lines = run_with_display(make_training, terminal=False).splitlines()
    assert len(lines) == 3
    assert "student epoch 1/2  loss" in lines[0]
    assert all(word in lines[0] for word in ("supervised", "Dice TC", "WT", "ET", "left"))
    assert lines[-1].startswith("student: 2 epochs in")


def test_terminal_shows_a_bar_that_goes_away(make_training):
    screen = run_with_display(make_training, terminal=True)
    assert "━" in screen
    assert "epoch 2/2" in screen
    assert "student: 2 epochs in" in screen.splitlines()[-1]


def test_resumed_training_says_after_which_epoch_it_goes_on(make_training):
    run_with_display(make_training, terminal=False, epochs=1)
    assert "student: resumes after epoch 1" in run_with_display(make_training, terminal=False)


def test_failing_training_takes_the_bar_away_and_stays_an_error(make_training):
    console = Console(file=io.StringIO(), force_terminal=True)
    training = make_training(
        1,
        handlers=[
            DistillationGuard,
            lambda h: ProgressDisplay("student", history=h, console=console),
        ],
    )
    training.network.weight.data.fill_(float("nan"))
    with pytest.raises(ExperimentError):
        training.trainer.run()
    assert console._live_stack == []


def test_a_region_without_cases_is_shown_as_a_dash():
    loss = {"total": 1.0, "supervised": 1.0}
    line = describe((3, 40), loss, score={"TC": 0.5, "ET": None})
    assert line == "epoch  3/40  loss 1.000 (supervised 1.000)  Dice TC 0.500 ET -"
