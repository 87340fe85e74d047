from pathlib import Path

import pytest

from docs.studies.benchmark.backends import Candidate
from docs.studies.benchmark.bounds import HEAD, Unit, bound_blocks, name_block
from docs.studies.benchmark.cpu import make_rows
from docs.studies.benchmark.page import format_page, tell_losses
from docs.studies.benchmark.plot import write_plot
from docs.studies.benchmark.timing import plan_rounds, takes_part

MACHINE = {"gflops": 100.0, "gb_s": 10.0, "width": 4}


def test_bound_is_the_larger_of_arithmetic_and_memory() -> None:
    assert Unit("stem", macs=10**9, numbers=0).bound_ms(**MACHINE) == pytest.approx(20)
    assert Unit("stem", macs=0, numbers=10**8).bound_ms(**MACHINE) == pytest.approx(40)


def test_bounds_of_a_block_add_up() -> None:
    units = [Unit("stem", 10**9, 1), Unit("stem", 10**9, 1), Unit("head", 0, 10**6)]
    blocks = bound_blocks(units, **MACHINE)
    assert blocks["stem"]["bound_ms"] == pytest.approx(40)
    assert blocks["head"]["bound_ms"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        ("/stem/stem.0/Conv", "stem"),
        ("/encoder.0/encoder.0.1/body/Conv", "encoder.0.1"),
        ("/decoder.2/Add", "decoder.2"),
        ("logits", HEAD),
    ],
)
def test_block_is_read_off_a_layers_name(layer: str, block: str) -> None:
    assert name_block(layer) == block


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


def test_layout_given_up_after_one_call_is_never_the_row() -> None:
    ways = ("contiguous", "channels_last_3d")
    kept, beaten = (Candidate("student", "torch", "fp32", 96, way) for way in ways)
    (row,) = make_rows({kept: [9.0, 8.0, 10.0], beaten: [7.0]})
    assert row["layout"] == "contiguous"


def test_losses_name_the_block_that_is_furthest_over() -> None:
    blocks = {"stem": {"ms": 9.0, "bound_ms": 1.0}, "head": {"ms": 1.0, "bound_ms": 1.0}}
    told = tell_losses(blocks, whole=10.0)
    assert "5.00 times" in told
    assert "stem (8.0 ms)" in told
    assert "head" not in told


def test_page_and_plot_take_one_network_as_well(tmp_path: Path) -> None:
    row = {"network": "student", "backend": "torch", "precision": "fp32", "window": 96}
    row |= {"ms": 1.0, "layout": "contiguous", "params": 10, "macs": 10, "peak_mib": None}
    machine = {"cpu": "x", "cores": 2, "threads": 2, "instruction_sets": [], "versions": {}}
    machine |= {"fp32_gflops": 1.0, "bf16_gflops": None, "bandwidth_gb_s": 1.0}
    found = {"machine": machine, "rows": [row | {"share_of_peak": 0.5}]}
    write_plot(found["rows"], tmp_path / "cpu.png")
    assert "| student | 10 | 10 | 1.0 c | 50% | - |" in format_page(found, plot="cpu.png")
