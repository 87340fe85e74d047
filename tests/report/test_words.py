from typing import Any

import pytest

from monai_kd.report.words import format_count, format_score, format_verdict

Metrics = dict[str, Any]


def test_verdict_says_how_far_distillation_was_ahead(metrics: Metrics) -> None:
    verdict = format_verdict(metrics)
    assert "reached mean Dice 0.800, the twin without 0.750" in verdict
    assert "ahead by 0.050" in verdict
    assert verdict.endswith("not evidence of a gain.")


def test_verdict_says_how_far_distillation_was_behind(metrics: Metrics) -> None:
    metrics["networks"]["twin"]["score"]["mean"] = 0.831
    verdict = format_verdict(metrics)
    assert "behind by 0.031" in verdict
    assert "ahead" not in verdict


@pytest.mark.parametrize("twin", [0.8, 0.8004, 0.7996])
def test_verdict_calls_what_rounds_alike_level(metrics: Metrics, twin: float) -> None:
    metrics["networks"]["twin"]["score"]["mean"] = twin
    verdict = format_verdict(metrics)
    assert "level" in verdict
    assert "ahead" not in verdict
    assert "behind" not in verdict


def test_verdict_claims_nothing_without_a_measurement(metrics: Metrics) -> None:
    metrics["networks"]["student"]["score"]["mean"] = None
    assert "says nothing" in format_verdict(metrics)


def test_an_absent_score_is_a_dash_and_never_zero() -> None:
    assert format_score(None) == "–"  # noqa: RUF001
    assert format_score(0.0) == "0.000"


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12"), (4_200, "4.2 k"), (24_800_000, "24.8 M"), (3.12e10, "31.2 G")]
)
def test_counts_are_shortened_to_three_digits(count: float, text: str) -> None:
    assert format_count(count) == text
