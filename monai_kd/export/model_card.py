"""The model card of a bundle: what it is, what was measured, how to run it, where it ends."""

import re
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

ROWS = {
    "student": "**This model** (distilled student)",
    "twin": "Its twin: same network, trained as long on the labelled cases, without the teacher",
    "teacher": "The teacher (not in this bundle)",
}

CARD = Template("""# $name

$task.

**Research use only. This is not a medical device: not for diagnosis, nor for decisions on
treatment.**

## What it is

$description The twin below is the same network, trained as long on the labelled cases without the
teacher, so the difference between the two rows is what the teacher, and unlabelled cases if there
were any, did in this one run; one run is no evidence of a gain.

## Input

One case is $input. Give $files. Any orientation and voxel size will do: $spacing segmented in
windows of $window voxels, and the result is brought back to the scan's own grid. A scan with a
missing channel, an empty channel, or a NaN in it is refused.

## Output

One NIfTI file per case, one channel, uint8, on the grid of the input: $pred_classes.
$channels_note

## What was measured

Trained and measured on $data_source.

$table

$metric is the mean over the test cases; a case whose truth lacks a structure does not count for
that structure. CPU time is for one volume, by sliding window, on the machine of the training run.

## How to run it

From inside this folder, with $names in `input/`:

```bash
python -m monai.bundle run --config_file configs/inference.json
```

With the files elsewhere, as one file of all channels, or for several cases:

```bash
python -m monai.bundle run --config_file configs/inference.json --dataset_dir FOLDER
python -m monai.bundle run --config_file configs/inference.json --image scan.nii.gz
python -m monai.bundle run --config_file configs/inference.json \\
    --datalist "[{'image': [$example]}]"
```

The result is `output/<name of the first file>_seg.nii.gz`; several cases keep the folders in which
they lay apart. Check the bundle with:

```bash
python -m monai.bundle verify_net_in_out --net_id network_def \\
    --meta_file configs/metadata.json --config_file configs/inference.json
```

It needs monai $monai_version, torch $pytorch_version, numpy $numpy_version, fire$packages. MONAI
warns at each run that a bundle's configuration can call code; this one calls MONAI and the files in
`scripts/`, opens no network connection, and its weights load without pickle.

## Limits

It knows only scans like those it was trained on. It does not recognise a scan of another kind or
swapped channels, and gives no measure of its own doubt.

## Licence

$license, see `LICENSE`. $copyright. The data it was trained on have their own terms.
""")


def format_model_card(
    metadata: Mapping[str, Any],
    *,
    dataset: Mapping[str, Any],
    metrics: Mapping[str, Any],
    config: Mapping[str, Any],
) -> str:
    """Return the model card as Markdown, with the scores of student, twin and teacher."""
    packages = metadata["required_packages_version"].items()
    files = [f"{file_name(name)}.nii.gz" for name in dataset["task"]["channels"]]
    card = CARD.substitute(
        metadata,
        metric=metrics["metric"],
        table=_format_table(metrics),
        window="x".join(str(size) for size in config["window"]),
        packages="".join(f", {name} {version}" for name, version in packages),
        input=_describe_input(metadata),
        files="one NIfTI file" if len(files) == 1 else "one NIfTI file each, or one 4D file of all",
        names=", ".join(f"`{name}`" for name in files),
        example=", ".join(f"'P1/{name}'" for name in files),
        spacing=_describe_spacing(dataset["settings"]["spacing_mm"]),
        channels_note=_warn_of_channels(metadata),
    )
    return re.sub(r"\n{3,}", "\n\n", card)


def describe_cases(dataset: Mapping[str, Any], cases: Mapping[str, int]) -> str:
    """Plain words on the cases of a data set and how many there were by part."""
    counts = ", ".join(f"{count} {part}" for part, count in cases.items())
    if dataset["origin"] == "phantoms":
        return f"made-up phantoms ({counts} cases); it knows nothing of patients"
    return (
        f"scans in the layout {dataset['layout']} ({counts} cases), under the terms of their givers"
    )


def file_name(channel: str) -> str:
    """What the file of a channel is called.

    >>> file_name("Arm (left)"), file_name("CT")
    ('Arm_left', 'CT')
    """
    return re.sub(r"\W+", "_", channel).strip("_")


def _describe_input(metadata: Mapping[str, Any]) -> str:
    image = metadata["network_data_format"]["inputs"]["image"]
    names = list(image["channel_def"].values())
    kind = metadata["image_classes"].partition("; ")[2]
    what = f", {kind}" if kind else ""
    if len(names) == 1:
        return f"one volume ({names[0]}){what}"
    order = ", ".join(names)
    return f"{len(names)} volumes of one patient on one grid{what}, in this order: **{order}**"


def _describe_spacing(spacing_mm: Sequence[float] | None) -> str:
    if spacing_mm is None:
        return "the scan is"
    return f"the scan is brought to {' x '.join(f'{size:g}' for size in spacing_mm)} mm,"


def _warn_of_channels(metadata: Mapping[str, Any]) -> str:
    """Software that names labels by network channel is right of classes alone."""
    if metadata["output_kind"] != "regions":
        return ""
    names = metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values()
    return (
        f"The network itself returns overlapping regions ({', '.join(names).lower()}) as logits;\n"
        "`channel_def` of its output names those, so software that names labels by network channel "
        "will\nname them wrongly."
    )


def _format_table(metrics: Mapping[str, Any]) -> str:
    columns = [*metrics["outputs"], "mean"]
    header = [metrics["metric"], *columns, "Parameters", "CPU ms per volume"]
    rows = [
        [
            title,
            *(_format_score(network["score"].get(column)) for column in columns),
            *_costs(network),
        ]
        for key, title in ROWS.items()
        if (network := metrics["networks"].get(key))
    ]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _costs(network: Mapping[str, Any]) -> tuple[str, str]:
    return f"{network['parameters']:,}", f"{network['cpu_ms_per_volume']:,.0f}"


def _format_score(score: float | None) -> str:
    return "not measured" if score is None else f"{score:.3f}"
