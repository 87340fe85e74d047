from typing import Any

from rich.console import Console

from monai_kd.report import make_table

Metrics = dict[str, Any]


def format_table(metrics: Metrics) -> str:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(make_table(metrics))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def test_table_has_one_row_per_network(metrics: Metrics) -> None:
    assert make_table(metrics).row_count == 3
    del metrics["networks"]["twin"]
    assert make_table(metrics).row_count == 2


def test_table_compares_size_and_speed_with_the_teacher(metrics: Metrics) -> None:
    student = next(line for line in format_table(metrics).splitlines() if "Student" in line)
    assert student.split() == [
        "Student",
        *["0.800"] * 4,
        "250",
        "k",
        "1/100",
        "900",
        "M",
        "200",
        "25x",
    ]


def test_table_fits_a_terminal_of_eighty_columns(metrics: Metrics) -> None:
    lines = format_table(metrics).splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
