"""All results in a folder, as a table for programs and as a page of links for people."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.files import write_bytes
from monai_kd.inference.results.record import NOTICE
from monai_kd.inference.results.result_files import LEFT_OUT, ResultFiles, read_record

PAGE = Path(__file__).with_name("summary.html")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def write_summary(output: Path, outputs: Sequence[str]) -> int:
    """Write `summary.csv` and `index.html` of all records in the folder; return how many.

    The volumes of `outputs` come first, then those of what other students have found there.
    They are read anew, so that results of other shards and of earlier runs stand in it as well.
    Nothing is written for a single case.
    """
    listed, records = None, []
    while listed != (paths := _list_records(output)):  # another shard may have ended meanwhile
        listed = paths
        records = [record for record in map(read_record, paths) if record is not None]
        named = (name for record in records for name in record.get("volumes_ml", {}))
        found = tuple(dict.fromkeys((*outputs, *named)))
        if len(records) > 1:
            rows = [_strip(record, found) for record in records]
            write_bytes(output / "summary.csv", _write_table(rows, found))
            write_bytes(output / "index.html", _write_page(output, rows, found))
    return len(records)


def _list_records(output: Path) -> list[Path]:
    """The files of all records, in the order of the cases."""
    paths = [*output.glob("*.json"), *(output / LEFT_OUT).glob("*.json")]
    return sorted(paths, key=lambda path: (path.name, path.parent.name))


def _strip(record: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    volumes = record.get("volumes_ml", {})
    seconds = record["provenance"].get("seconds", {})
    row: dict[str, Any] = {"case": record["case"], "verdict": record["verdict"]}
    for name in outputs:
        volume = volumes.get(name, {})
        row |= {f"{name}_ml": volume.get("value")}
        row |= {f"{name}_ml_{end}": volume.get(end) for end in ("low", "high")}
    row["lesions"] = len(record["lesions"]) if "lesions" in record else None
    row["reasons"] = "; ".join(map(_tell, record["reasons"]))
    row["seconds"] = round(sum(seconds.values()), 2) if seconds else None
    return row


def _tell(reason: Mapping[str, str]) -> str:
    """One line of a reason; of a note, which every case may have, what was seen alone."""
    text = reason["text"].partition(" - ")[0] if reason["severity"] == "note" else reason["text"]
    return ": ".join(filter(None, (reason["file"], f"{text} [{reason['code']}]")))


def _write_table(rows: Sequence[Mapping[str, Any]], outputs: Sequence[str]) -> bytes:
    volumes = (f"{name}_ml{end}" for name in outputs for end in ("", "_low", "_high"))
    columns = ("case", "verdict", *volumes, "lesions", "reasons", "seconds")
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _as_cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _as_cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _write_page(
    output: Path, records: Sequence[Mapping[str, Any]], outputs: Sequence[str]
) -> bytes:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  (for a lone case, never)

    rows = [row | {"files": _list_files(output, row["case"])} for row in map(dict, records)]
    counts = {
        verdict: sum(row["verdict"] == verdict for row in rows)
        for verdict in ("PASS", "CHECK", "REFUSE")
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(PAGE.read_text(encoding="utf-8"))
    text = page.render(rows=rows, counts=counts, outputs=outputs, notice=NOTICE)
    return text.encode("utf-8", "backslashreplace")


def _list_files(output: Path, case: str) -> dict[str, str]:
    files = ResultFiles(output, case)
    named = {"report": files.report, "mask": files.label, "record": files.record}
    return {name: path.name for name, path in named.items() if path.is_file()}
