"""Predict, asked again and again in one process, which a warden watches from outside.

Each line on stdin is a JSON list of arguments, each line on the first stdout a JSON object: the
exit code, what was said, and the traceback of what was not caught. Everything is as in a process
of its own, but for the runtime of one bundle, which is loaded once.
"""

import io
import json
import os
import sys
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from monai_kd.cli import main
from monai_kd.inference.running import command
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.student import Student


def serve() -> None:
    """Answer each line until there is none."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what native code says does not come between
    command.open_runtime = _Runtimes()  # type: ignore[assignment]
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


class _Runtimes:
    """Opens a runtime as predict does, but the same one only once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Runtime] = {}

    def __call__(self, student: Student, *, name: str, threads: int | None) -> Runtime:
        key = (student.sha256, name)
        if key not in self._known:
            self._known = {key: open_runtime(student, name=name, threads=threads)}
        return self._known[key]


def _answer(arguments: list[str]) -> dict[str, Any]:
    said, complained = io.StringIO(), io.StringIO()
    trace, code = "", None
    with redirect_stdout(said), redirect_stderr(complained), warnings.catch_warnings():
        warnings.simplefilter("always", RuntimeWarning)
        warnings.simplefilter("always", UserWarning)
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            trace = traceback.format_exc()
    return {"code": code, "said": said.getvalue(), "errors": complained.getvalue(), "trace": trace}


if __name__ == "__main__":
    serve()
