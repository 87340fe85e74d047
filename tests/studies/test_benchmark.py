from pathlib import Path
from time import sleep

import pytest
from torch import nn

from docs.studies.benchmark.backends import LAYOUTS, Candidate, make_image
from docs.studies.benchmark.bounds import (
    ELSEWHERE,
    LOGITS,
    Unit,
    bound_blocks,
    list_units,
    time_blocks,
)
from docs.studies.benchmark.cpu import list_candidates
from docs.studies.benchmark.measure import main
from docs.studies.benchmark.networks import count_window
from docs.studies.benchmark.page import format_page, format_ratios, tell_losses
from docs.studies.benchmark.plot import write_plot
from docs.studies.benchmark.timing import make_rows, plan_rounds, takes_part, time_calls
from monai_kd.export import write_onnx
from monai_kd.networks import EfficientNetStudent
from monai_kd.networks.efficientnet_student import STAGES

WINDOW = 32
SHAPE = (1, 4, WINDOW, WINDOW, WINDOW)
MACHINE = {"gflops": 100.0, "gb_s": 10.0, "width": 4}


def test_bound_is_the_larger_of_arithmetic_and_memory() -> None:
    assert Unit("stem", macs=10**9, numbers=0).bound_ms(**MACHINE) == pytest.approx(20)
    assert Unit("stem", macs=0, numbers=10**8).bound_ms(**MACHINE) == pytest.approx(40)


def test_bounds_of_a_block_add_up() -> None:
    units = [Unit("stem", 10**9, 1), Unit("stem", 10**9, 1), Unit("head", 0, 10**6)]
    blocks = bound_blocks(units, **MACHINE)
    assert blocks["stem"]["bound_ms"] == pytest.approx(40)
    assert blocks["head"]["bound_ms"] == pytest.approx(0.4)


def test_bound_by_block_is_never_above_the_one_by_layer() -> None:
    units = [Unit("stem", macs=10**9, numbers=0), Unit("stem", macs=0, numbers=10**8)]
    block = bound_blocks(units, **MACHINE)["stem"]
    assert block["bound_ms"] == pytest.approx(40)
    assert block["layers_bound_ms"] == pytest.approx(60)


@pytest.fixture(scope="module")
def student_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    return write_onnx(EfficientNetStudent(), folder / "student.onnx", image=make_image(WINDOW))


def list_blocks() -> set[str]:
    parts = {f"encoder.{at}.{n}" for at, stage in enumerate(STAGES) for n in range(stage[1] + 1)}
    return parts | {f"head.raises.{n}" for n in range(len(STAGES) - 1)} | {LOGITS}


def test_blocks_of_the_student_are_complete_and_so_are_their_macs(student_file: Path) -> None:
    blocks = bound_blocks(list_units(student_file, SHAPE), **MACHINE)
    assert set(blocks) == list_blocks()
    total = sum(block["macs"] for block in blocks.values())
    assert total == count_window("student", WINDOW)["macs"]


def test_counters_know_every_block(student_file: Path) -> None:
    assert set(time_blocks(student_file, SHAPE, precision="fp32", layout="contiguous")) == {
        *list_blocks(),
        ELSEWHERE,
    }


def test_layer_that_bounds_do_not_know_is_an_error(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv3d(4, 3, 1), nn.MaxPool3d(2))
    file = write_onnx(network, tmp_path / "pool.onnx", image=make_image(WINDOW))
    with pytest.raises(ValueError, match="MaxPool"):
        list_units(file, SHAPE)


def test_teacher_is_the_one_of_the_full_recipe() -> None:
    assert 90e6 < count_window("teacher", WINDOW)["params"] < 110e6


@pytest.mark.parametrize("rounds", [0, 1, 3, 7])
def test_rounds_are_spread_evenly(rounds: int) -> None:
    turns = [turn for turn in range(1, 8) if takes_part(turn, rounds=rounds, total=7)]
    assert len(turns) == rounds


def test_slow_calls_still_have_three_rounds() -> None:
    assert plan_rounds(25_000) == 3
    assert plan_rounds(1) == 25


def test_row_takes_the_best_layout() -> None:
    ways = ("contiguous", "channels_last_3d")
    slow, fast = (Candidate("student", "torch", "fp32", 96, way) for way in ways)
    (row,) = make_rows({slow: [9.0, 8.0, 10.0], fast: [2.0, 1.0, 6.0]})
    assert (row["ms"], row["layout"]) == (2.0, "channels_last_3d")
    assert row["ms_by_layout"] == {"contiguous": 9.0, "channels_last_3d": 2.0}


def test_layout_that_is_beaten_and_call_that_fails_are_left_out() -> None:
    calls = {("a", 1): lambda: None, ("a", 2): lambda: sleep(0.02), ("b", 1): lambda: 1 / 0}
    told: list[str] = []
    times = time_calls(calls, tell=told.append, row_of=lambda key: key[0])
    assert [(key, len(taken)) for key, taken in times.items()] == [(("a", 1), 25)]
    assert "ZeroDivisionError" in told[0]


def test_slow_network_keeps_the_layout_that_was_best_at_the_smaller_window() -> None:
    row = {"network": "DynUNet", "backend": "torch", "precision": "fp32", "window": 96}
    row |= {"ms": 2500.0, "layout": "channels_last_3d"}
    found = list_candidates(["DynUNet", "UNETR"], 128, full=False, native=False, known=[row])
    layouts = [(candidate.network, candidate.layout) for candidate in found]
    assert layouts == [("DynUNet", row["layout"]), *(("UNETR", layout) for layout in LAYOUTS)]


@pytest.mark.parametrize("narrowed", [["--networks", "student"], ["--windows", "128"]])
def test_part_of_a_run_does_not_replace_the_page(
    narrowed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(narrowed)
    assert "give --output DIR" in capsys.readouterr().err


def test_window_that_a_network_cannot_take_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--windows", "100", "--output", "unused"])
    assert "multiple of 32" in capsys.readouterr().err


def test_losses_name_the_block_that_is_furthest_over() -> None:
    bounds = {"bound_ms": 1.0, "layers_bound_ms": 2.0}
    told = tell_losses({"stem": {"ms": 9.0} | bounds, "head": {"ms": 1.0} | bounds}, whole=10.0)
    assert "5.00 times its bound block by block" in told
    assert "2.50 times the sum" in told
    assert "stem (8.0 ms)" in told
    assert "head" not in told


def test_peer_is_compared_in_its_best_way_and_in_the_same() -> None:
    ways = {"torch": (1, 100), "openvino": (2, 30)}
    rows = [
        {"network": name, "backend": backend, "precision": "fp32", "ms": ms, "peak_mib": ms}
        for backend, pair in ways.items()
        for name, ms in zip(("student", "SegResNet"), pair, strict=True)
    ]
    assert "| openvino fp32 | 50.0 | 15.0 | 50.0 |" in format_ratios(rows)


def test_page_and_plot_take_one_network_as_well(tmp_path: Path) -> None:
    row = {"network": "student", "backend": "torch", "precision": "fp32", "window": 96}
    row |= {"ms": 1.0, "layout": "contiguous", "params": 10, "macs": 10, "peak_mib": None}
    machine = {"cpu": "x", "cores": 2, "threads": 2, "instruction_sets": [], "versions": {}}
    machine |= {"fp32_gflops": 1.0, "bf16_gflops": None, "bandwidth_gb_s": 1.0}
    found = {"machine": machine, "rows": [row | {"share_of_peak": 0.5}]}
    write_plot(found["rows"], tmp_path / "cpu.png")
    assert "| student | 10 | 10 | 1.0 c | 50% | - |" in format_page(found, plot="cpu.png")
