"""All results in a folder, as a table for programs and as a page of links for people."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.files import write_bytes
from monai_kd.inference.results.record import NOTICE
from monai_kd.inference.results.result_files import LEFT_OUT, ResultFiles, read_record

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
    page = environment.from_string(_PAGE)
    text = page.render(rows=rows, counts=counts, outputs=outputs, notice=NOTICE)
    return text.encode("utf-8", "backslashreplace")


def _list_files(output: Path, case: str) -> dict[str, str]:
    files = ResultFiles(output, case)
    named = {"report": files.report, "mask": files.label, "record": files.record}
    return {name: path.name for name, path in named.items() if path.is_file()}


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Segmented cases</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .6rem; text-align: right; border-bottom: 1px solid #8886;
  vertical-align: top; }
th:first-child, .text { text-align: left; }
th:first-child, td.text { overflow-wrap: anywhere; }
.PASS { color: #16803c; } .CHECK { color: #a15c00; } .REFUSE { color: #c02626; }
@media (prefers-color-scheme: dark) {
  .PASS { color: #5bd88a; } .CHECK { color: #f3b35c; } .REFUSE { color: #ff8a8a; } }
</style>
</head>
<body>
<h1>Segmented cases</h1>
<p>{{ rows | length }} cases: {% for verdict, count in counts.items() %}
{{ count }} <b class="{{ verdict }}">{{ verdict }}</b>{{ "" if loop.last else ", " }}
{%- endfor %}. The same as a table: <a href="summary.csv">summary.csv</a>.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Cases">
<table>
<thead><tr><th scope="col">case</th><th scope="col" class="text">verdict</th>
{% for name in outputs %}<th scope="col">{{ name }} ml</th>{% endfor %}
<th scope="col">lesions</th><th scope="col" class="text">reasons</th>
<th scope="col" class="text">files</th></tr></thead>
<tbody>
{% for row in rows %}
<tr><th scope="row">{{ row.case }}</th><td class="text {{ row.verdict }}">{{ row.verdict }}</td>
{% for name in outputs %}<td>{% set value = row[name ~ "_ml"] %}
{{ "%.1f" | format(value) if value is not none }}
{%- if row[name ~ "_ml_low"] is not none %}
<br><small>{{ "%.1f to %.1f" | format(row[name ~ "_ml_low"], row[name ~ "_ml_high"]) }}</small>
{%- endif %}</td>{% endfor %}
<td>{{ row.lesions if row.lesions is not none }}</td><td class="text">{{ row.reasons }}</td>
<td class="text">{% for kind, file in row.files.items() %}
<a href="{{ file | urlencode }}">{{ kind }}</a>{{ "" if loop.last else ", " }}
{% endfor %}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
<p>{{ notice }}</p>
</body>
</html>
"""
