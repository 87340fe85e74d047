"""The study of a batch: what it spoils must be refused, and it sees memory that grows."""

import os
from types import SimpleNamespace

import pytest

from tests.acceptance.batch import check_memory
from tests.acceptance.batch_results import choose_ways
from tests.acceptance.watching import Sample
from tests.damage import CORRUPTIONS


def test_ways_to_spoil_a_case_are_all_errors_and_none_is_taken_twice():
    ways = choose_ways(20)
    assert len(set(ways)) == 20
    assert {CORRUPTIONS[way].rule.severity for way in ways} == {"error"}


@pytest.mark.parametrize(("growth", "holds"), [(0, True), (0.04, True), (0.1, False)])
def test_memory_that_grows_from_the_second_tenth_to_the_last_is_seen(tmp_path, growth, holds):
    for index in range(1, 101):
        (tmp_path / str(index)).touch()
        os.utime(tmp_path / str(index), ns=(index * 10, index * 10))
    results = SimpleNamespace(
        good=range(1, 101), bad=(), of=lambda n: SimpleNamespace(record=tmp_path / str(n))
    )
    sizes = [1000 if moment < 900 else round(1000 * (1 + growth)) for moment in range(1000)]
    samples = [Sample(moment, size, size) for moment, size in enumerate(sizes)]
    assert all(row[2] for row in check_memory(results, samples)) is holds
