"""Give damaged inputs to predict for some minutes and count what comes of them.

    python -m tests.acceptance.fuzz BUNDLE [--minutes 10] [--seed 0] [--max-ram 1.2G] [--folder DIR]

Input N of a seed is always the same: `--only N` makes that one again. Failures, that is a hang, a
crash, more memory than was given, a wrong mask or a refusal without a plain line, are kept in
DIR/failures with what made them. The exit code is 1 where there is any.
"""

import argparse
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from monai_kd.inference.budget import parse_size
from tests.acceptance.fuzz.judging import CLASSES, FAILURES, judge
from tests.acceptance.fuzz.mutants import KINDS, make_mutant
from tests.acceptance.fuzz.warden import Answer, Warden

HANG_SECONDS = 10


def main() -> int:
    """Fuzz until the time is over; tell the table."""
    options = _parse()
    shutil.rmtree(options.folder / "work", ignore_errors=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    fuzzing = Fuzzing(options)
    end = time.monotonic() + 60 * options.minutes
    number = options.only if options.only is not None else options.start
    while time.monotonic() < end:
        fuzzing.try_one(number)
        number += 1
        if options.only is not None:
            break
    fuzzing.warden.close()
    sys.stdout.write(fuzzing.format_page(number))
    return 1 if any(fuzzing.counts[kind, name] for kind in KINDS for name in FAILURES) else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Give damaged inputs to predict.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-ram", default="1.2G")
    parser.add_argument("--folder", type=Path, default=Path("runs/fuzz"))
    parser.add_argument("--start", type=int, default=0, help="the first number")
    parser.add_argument("--only", type=int, help="one number, to see what it comes to")
    return parser.parse_args()


class Fuzzing:
    """What has been tried so far and what came of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.counts: Counter[tuple[str, str]] = Counter()
        self.slowest = self.largest = 0.0
        cap = parse_size(options.max_ram)
        self.warden = Warden(options.folder / "native.log", seconds=HANG_SECONDS, most_bytes=cap)

    def try_one(self, number: int) -> None:
        """Make an input, ask, judge, keep it if it is a failure."""
        work = self.options.folder / "work"
        mutant = make_mutant(self.options.seed, number, self.options.bundle)
        source = mutant.write(work / "in")
        if source is None:
            shutil.rmtree(work, ignore_errors=True)
            return
        answer = self.warden.ask(self._arguments(source, work, mutant.options, number))
        if mutant.kind == "bundle":  # a second student, which no process of predict ever has
            self.warden.close()
        found, seen = judge(answer, work / "out", source)
        self.counts[mutant.kind, found] += 1
        self.slowest = max(self.slowest, answer.seconds)
        self.largest = max(self.largest, answer.most_bytes / 2**20)
        told = f"{number} {mutant.kind}: {mutant.told}\n  {found} {seen}\n"
        told += f"  {answer.seconds:.2f} s, {answer.most_bytes / 2**20:.0f} MiB, {answer.errors}\n"
        with (self.options.folder / "log").open("a", encoding="utf-8", errors="replace") as log:
            log.write(told)
        if found in FAILURES:
            self._keep(number, found, told, answer)
        elif self.options.only is not None:
            sys.stdout.write(told + answer.said)
        shutil.rmtree(work, ignore_errors=True)

    def _arguments(self, source: Path, work: Path, more: tuple[str, ...], number: int) -> list[str]:
        own = work / "in" / "bundle"
        bundle = own if own.is_dir() else self.options.bundle
        page = "--report" if number % 8 == 0 else "--no-report"
        order = [f"--max-ram={self.options.max_ram}", "-o", str(work / "out"), page]
        return ["predict", str(source), "--bundle", str(bundle), *order, *more]

    def _keep(self, number: int, found: str, told: str, answer: Answer) -> None:
        sys.stdout.write(told)
        sys.stdout.flush()
        place = self.options.folder / "failures" / f"{self.options.seed}-{number}-{found}"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.options.folder / "work", place, symlinks=True)
        (place / "told").write_text(told + answer.trace, "utf-8", errors="replace")

    def format_page(self, tried: int) -> str:
        """The table of docs/results.md."""
        shown = [name for name in CLASSES if name in FAILURES or self._sum(name)]
        lines = [f"| damaged | {' | '.join(shown)} |", f"| --- |{' --- |' * len(shown)}"]
        for kind in (*KINDS, "all"):
            cells = [
                self._sum(name) if kind == "all" else self.counts[kind, name] for name in shown
            ]
            lines.append(f"| {kind} | {' | '.join(map(str, cells))} |")
        last = (
            f"Seed {self.options.seed}, {tried} inputs. Slowest {self.slowest:.1f} s, most memory "
        )
        return "\n".join([*lines, "", last + f"{self.largest:.0f} MiB.", ""])

    def _sum(self, name: str) -> int:
        return sum(self.counts[kind, name] for kind in KINDS)


if __name__ == "__main__":
    sys.exit(main())
