"""The model card of a bundle: what it is, what was measured, how to run it, where it ends."""

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

One case is four MRI volumes of one patient, skull-stripped, co-registered and on one grid, in this
order: **T1 with contrast (T1ce), T1, T2, FLAIR**. Give four 3D NIfTI files, or one 4D file with
four channels. Any orientation and voxel size will do: the scan is brought to 1 mm, segmented in
windows of $window voxels, and the result is brought back to the scan's own grid. A scan with a
missing channel, an empty channel, or a NaN in it is refused.

## Output

One NIfTI file per case, one channel, uint8, on the grid of the input:
0 background, 1 necrotic core, 2 oedema, 3 enhancing tumour. The network itself returns three
overlapping regions (tumour core, whole tumour, enhancing tumour) as logits; `channel_def` of its
output names those, so software that names labels by network channel will name them wrongly.

## What was measured

Trained and measured on $data_source.

$table

Dice is the mean over the test cases; a case in whose truth a region is absent does not count for
that region. CPU time is for one volume, by sliding window, on the machine of the training run.

## How to run it

From inside this folder, with the four files in `input/`:

```bash
python -m monai.bundle run --config_file configs/inference.json
```

With the files elsewhere, as one 4D file, or for several cases:

```bash
python -m monai.bundle run --config_file configs/inference.json --dataset_dir FOLDER
python -m monai.bundle run --config_file configs/inference.json --image scan4d.nii.gz
python -m monai.bundle run --config_file configs/inference.json \\
    --datalist "[{'image': ['P1/t1ce.nii.gz', 'P1/t1.nii.gz', 'P1/t2.nii.gz', 'P1/flair.nii.gz']}]"
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

It knows only scans like those it was trained on. It does not recognise a scan of another kind, a
swapped sequence, or a brain after surgery, and gives no measure of its own doubt.

## Licence

$license, see `LICENSE`. $copyright. The data it was trained on have their own terms.
""")


def format_model_card(
    metadata: Mapping[str, Any], *, metrics: Mapping[str, Any], window: Sequence[int]
) -> str:
    """Return the model card as Markdown, with the Dice of student, twin and teacher."""
    packages = metadata["required_packages_version"].items()
    return CARD.substitute(
        metadata,
        table=_format_table(metrics),
        window="x".join(str(size) for size in window),
        packages="".join(f", {name} {version}" for name, version in packages),
    )


def _format_table(metrics: Mapping[str, Any]) -> str:
    columns = [*metrics["regions"], "mean"]
    header = ["Dice", *columns, "Parameters", "CPU ms per volume"]
    rows = [
        [
            title,
            *(_format_dice(network["dice"].get(column)) for column in columns),
            *_costs(network),
        ]
        for key, title in ROWS.items()
        if (network := metrics["networks"].get(key))
    ]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _costs(network: Mapping[str, Any]) -> tuple[str, str]:
    return f"{network['parameters']:,}", f"{network['cpu_ms_per_volume']:,.0f}"


def _format_dice(dice: float | None) -> str:
    return "not measured" if dice is None else f"{dice:.3f}"
