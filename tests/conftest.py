"""Which tests share a worker, and which come first, so that no worker waits at the end."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that read the finished run have one; those of a file share what the file makes."""
    for item in items:
        group = "run" if "finished_run" in item.fixturenames else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: "run" not in item.keywords)
