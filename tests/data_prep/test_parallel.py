import os

import pytest

from data_prep import DatasetError
from data_prep.parallel import map_in_parallel


def square(number):
    return number * number


def die(number):
    os._exit(9)


@pytest.mark.parametrize("threads", [False, True])
def test_results_come_in_the_order_of_the_items(threads):
    found = map_in_parallel(square, [3, 1, 2], title="", workers=2, threads=threads)
    assert found == [9, 1, 4]


def test_a_worker_that_is_ended_from_outside_is_told_in_one_line():
    with pytest.raises(DatasetError, match="lack of memory; run the same command again"):
        map_in_parallel(die, [1, 2], title="", workers=2)


@pytest.mark.parametrize("workers", [0, -2])
def test_no_workers_can_do_nothing(workers):
    with pytest.raises(DatasetError, match="expected at least 1"):
        map_in_parallel(square, [1], title="", workers=workers)
