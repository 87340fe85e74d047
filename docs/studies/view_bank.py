"""Times an epoch with stored views beside one with the live teacher and one of the twin.

    python -m docs.studies.view_bank FOLDER

Takes the default run: its phantoms, its pair, its recipe, eight views a case. The arms take an
epoch each in turn, so that whatever else the machine does hits all alike. Then both losses of the
same views are compared, with stored logits and with the live teacher. FOLDER keeps phantoms and
teacher; the bank is filled anew each time. Writes FOLDER/view_bank.json and FOLDER/view_bank.md.
"""

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.engines import PrepareBatchExtraInput
from monai.utils import set_determinism

from monai_kd.data import ViewBank
from monai_kd.distillation import DistillationLoss, Distiller
from monai_kd.experiment import load_weights

DEFAULT, TWIN, BANK = "bundles/distill.yaml", "bundles/twin.yaml", "bundles/view_bank.yaml"
ARMS = {"twin": [DEFAULT, TWIN], "live teacher": [DEFAULT], "bank": [DEFAULT, BANK]}
EPOCH_SEED = {
    "_target_": "monai_kd.experiment.EpochSeed",
    "dataset": "@train#dataset",
    "seed": "@seed",
}


def main() -> None:
    """Train the teacher, fill the bank, time, compare, write."""
    options = _parse()
    settings = {"runs_dir": str(options.folder), "views": options.views, **json.loads(options.set)}
    teacher = train_teacher(options.folder, settings)
    shutil.rmtree(options.folder / "view-banks", ignore_errors=True)
    arms = {name: open_arm(files, settings, teacher) for name, files in ARMS.items()}
    bank = fill(arms["bank"])
    seconds = time_epochs(arms, epochs=options.epochs)
    bank |= {"loss": compare_losses(arms["bank"])}
    found = {"threads": torch.get_num_threads(), "seconds": seconds, "bank": bank}
    (options.folder / "view_bank.json").write_text(json.dumps(found, indent=1))
    (options.folder / "view_bank.md").write_text(write_tables(seconds, bank), encoding="utf-8")


def train_teacher(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Train the default run's teacher, unless it is there; return its checkpoint."""
    parser = _read_bundle([DEFAULT], settings)
    run_dir = Path(parser.get_parsed_content("run_dir"))
    run_dir.mkdir(parents=True, exist_ok=True)
    parser.export_config_file(parser.config, str(run_dir / "config.yaml"), fmt="yaml")
    stage = parser.get_parsed_content("teacher_stage")
    checkpoint: Path = stage.run()
    return checkpoint


def open_arm(files: Sequence[str], settings: Mapping[str, Any], teacher: Path) -> ConfigParser:
    """The bundle of an arm with its teacher's weights; nothing else is made yet."""
    parser = _read_bundle(files, settings)
    parser["train#handlers"] = [EPOCH_SEED]
    parser.parse()
    set_determinism(seed=parser.get_parsed_content("seed"))
    parser.get_parsed_content("network")
    load_weights(parser.get_parsed_content("teacher"), teacher)
    return parser


def fill(arm: ConfigParser) -> dict[str, Any]:
    """Fill a bank, and have it found full; return its times and its size."""
    bank: ViewBank = arm.get_parsed_content("bank")
    started = time.perf_counter()
    folder = bank.fill()
    filled = time.perf_counter()
    bank.fill()
    return {
        "views": len(bank.dataset) * bank.dataset.views,
        "fill_seconds": round(filled - started, 1),
        "found_seconds": round(time.perf_counter() - filled, 2),
        "gigabytes": round(sum(path.stat().st_size for path in folder.iterdir()) / 1e9, 4),
    }


def time_epochs(arms: Mapping[str, ConfigParser], *, epochs: int) -> dict[str, list[float]]:
    """Seconds of each epoch of each arm; one more comes first and does not count."""
    trainers = {name: arm.get_parsed_content("train#trainer") for name, arm in arms.items()}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for epoch in range(1, epochs + 2):
        turn = epoch % len(arms)
        for name in [*arms][turn:] + [*arms][:turn]:
            trainers[name].state.max_epochs = epoch
            started = time.perf_counter()
            trainers[name].run()
            seconds[name].append(round(time.perf_counter() - started, 3))
    return {name: taken[1:] for name, taken in seconds.items()}


@torch.no_grad()
def compare_losses(arm: ConfigParser) -> dict[str, Any]:
    """How far the loss and its terms are off with stored logits, over the batches of an epoch.

    The student has learnt for some epochs; it is evaluated, so that both see the same one.
    """
    distiller: Distiller = arm.get_parsed_content("distiller")
    loss: DistillationLoss = arm.get_parsed_content("loss")
    measures = {"loss": loss} | {
        name: term for name, term in loss.terms.items() if term.needs_teacher
    }
    prepare = PrepareBatchExtraInput({"teacher_logits": "teacher_logits"})
    apart: dict[str, list[float]] = {name: [] for name in measures}
    distiller.eval()
    for batch in arm.get_parsed_content("train#dataloader"):
        image, label, _, stored = prepare(batch, device=arm.get_parsed_content("device"))
        live, cached = distiller(image), distiller(image, **stored)
        for name, measure in measures.items():
            truth = measure(live, label).item()
            apart[name].append(abs(measure(cached, label).item() - truth) / truth)
    return {
        name: {"mean": statistics.mean(values), "largest": max(values)}
        for name, values in apart.items()
    }


def write_tables(seconds: Mapping[str, Sequence[float]], bank: Mapping[str, Any]) -> str:
    """Markdown: the time of an epoch, then what the bank takes and how true it is."""
    times = [
        (name, f"{statistics.median(taken):.2f}", _list_ratios(taken, seconds["twin"]))
        for name, taken in seconds.items()
    ]
    facts = {
        "views": str(bank["views"]),
        "filled in": f"{bank['fill_seconds']:.0f} s",
        "known as full in": f"{bank['found_seconds']:.2f} s",
        "GB": f"{bank['gigabytes']:.3f}",
    } | {
        f"{term}, relative: mean (largest)": f"{apart['mean']:.1e} ({apart['largest']:.1e})"
        for term, apart in bank["loss"].items()
    }
    count = len(seconds["twin"])
    return "\n".join(
        [
            *_table(("training", f"s per epoch, median of {count}", "times the twin's"), times),
            "",
            "Times the twin's: the median over rounds in which each arm took one epoch, and the "
            "range.",
            "",
            *_table([*facts], [[*facts.values()]]),
            "",
        ]
    )


def _list_ratios(taken: Sequence[float], twin: Sequence[float]) -> str:
    ratios = [one / other for one, other in zip(taken, twin, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def _read_bundle(files: Sequence[str], settings: Mapping[str, Any]) -> ConfigParser:
    parser = ConfigParser(ConfigParser.load_config_files(list(files)))
    for key, value in settings.items():
        parser[key] = value
    return parser


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=9, help="of each arm that count")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument(
        "--set",
        default="{}",
        help='settings of the bundle as JSON, such as {"phantom_cases": 8, "window": [32, 32, 32]}',
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
