"""One phantom stored in every way that NIfTI knows, and the mask of each: a Markdown table.

    python -m tests.acceptance.storage BUNDLE [--size 240 240 155] [--output FILE]

The mask is compared with that of the phantom stored right, front, top; where voxels were made
between voxels, on those that both have.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
from nibabel.nifti2 import Nifti2Pair
from numpy.typing import NDArray
from scipy import ndimage

from data_prep import write_phantoms
from data_prep.brats.labels import BRATS2023
from data_prep.case import Case, Dataset, ImageFile
from data_prep.checks import inspect_case
from data_prep.files import write_bytes
from data_prep.layouts import find_dataset
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.segmenting.segmentation import write_label
from monai_kd.inference.student import Student, read_student
from tests.inference.segmented import segment_case

Image = nibabel.Nifti1Image
Images = Mapping[str, Image]
Label = NDArray[np.uint8]
Store = Callable[[Image, Path], Path]

KEPT = ("qform_code", "sform_code", "xyzt_units", "pixdim")
KEPT += ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "srow_x", "srow_y", "srow_z")
REGIONS = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
COSINE, SINE = 0.96, 0.28
TURN = np.array([[COSINE, -SINE, 0, 5], [SINE, COSINE, 0, -7], [0, 0, 1, 9], [0, 0, 0, 1]])
UNEVEN = np.diag([0.9, 1.15, 1.1, 1.0])
MOST_BYTES = 8 * 2**30


@dataclass(frozen=True)
class Segmenter:
    """Files to the written mask, by the steps of `monai-kd predict`."""

    student: Student
    runtime: Runtime
    dataset: Dataset
    folder: Path

    def __call__(self, files: Mapping[str, Path]) -> Image:
        """Return the mask as any program reads it."""
        scans = {name: ImageFile(file) for name, file in files.items()}
        case = Case("case", "case", "unknown", scans, None)
        read = inspect_case(case, dataset=replace(self.dataset, root=self.folder), threads=2)
        if not read.usable:
            raise ValueError(f"refused: {read.findings}")
        found = segment_case(read, self.student, self.runtime, most_bytes=MOST_BYTES)
        write_label(found, self.folder / "mask.nii.gz", BRATS2023)
        mask = nibabel.load(self.folder / "mask.nii.gz")
        return type(mask)(
            np.asarray(mask.dataobj), mask.affine, mask.header
        )  # the next has its name


def load_upright(dataset: Dataset) -> dict[str, Image]:
    """Return the first case stored right, front, top, with codes that are seldom seen."""
    files = dataset.cases[0].images.items()
    return {n: mark(nibabel.as_closest_canonical(nibabel.load(file.path))) for n, file in files}


def mark(image: Image) -> Image:
    """Give an image the codes 2 and 3, and units of time."""
    image.set_qform(image.affine, code=2)
    image.set_sform(image.affine, code=3)
    image.header.set_xyzt_units("mm", "sec")
    return image


def save(image: Image, path: Path, ending: str = ".nii") -> Path:
    """Save under the name and an ending; return the file."""
    file = path.with_name(path.name + ending)
    nibabel.save(image, file)
    return file


def save_as(image_class: type[Image], ending: str) -> Store:
    """Return what saves an image in another format, under the same codes."""

    def store(image: Image, path: Path) -> Path:
        other = image_class(np.asarray(image.dataobj), image.affine)
        return save(mark(other), path, ending)

    return store


def save_big_endian(image: Image, path: Path) -> Path:
    """Save with the most significant byte first."""
    header = image.header.as_byteswapped(">")
    return save(Image(np.asarray(image.dataobj).astype(">i2"), image.affine, header), path)


def save_scaled(image: Image, path: Path) -> Path:
    """Save each value as half of a stored one less a hundred."""
    stored = (2 * np.asarray(image.dataobj) + 200).astype(np.int16)
    header = image.header.copy()
    header["scl_slope"], header["scl_inter"] = 0.5, -100
    header["vox_offset"], header["magic"] = 352, b"n+1"
    file = path.with_name(f"{path.name}.nii")
    file.write_bytes(header.binaryblock + bytes(4) + stored.tobytes(order="F"))
    return file


def save_oblique(image: Image, path: Path) -> Path:
    """Save under a header that says the head was turned by 16 degrees."""
    return save(mark(Image(image.dataobj, TURN @ image.affine, image.header)), path)


def save_deeper(image: Image, path: Path) -> Path:
    """Save in folders whose names have spaces and letters of several scripts."""
    folder = path.parent / "chora Żółć 1" / "患者 مريض"
    folder.mkdir(parents=True, exist_ok=True)
    return save(image, folder / path.name, ".nii.gz")


STORAGES: dict[str, Store] = {
    "big-endian": save_big_endian,
    "scaled integers": save_scaled,
    "NIfTI-2": save_as(nibabel.Nifti2Image, ".nii.gz"),
    "pair of .hdr and .img": save_as(nibabel.Nifti1Pair, ".img"),
    "packed pair": save_as(nibabel.Nifti1Pair, ".hdr.gz"),
    "pair of NIfTI-2": save_as(Nifti2Pair, ".hdr"),
    "oblique header": save_oblique,
    "spaces and other scripts in the path": save_deeper,
}


def list_turns() -> Iterator[NDArray[np.int_]]:
    """Every order and direction of three axes."""
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        yield np.array([axes, signs]).T


def insert_voxels(image: Image, counts: tuple[int, ...]) -> Image:
    """Make voxels between voxels: `counts` are those that one becomes along each axis."""
    scale = np.diag([*(1 / np.array(counts)), 1.0])
    shape = [(side - 1) * count + 1 for side, count in zip(image.shape, counts, strict=True)]
    values = np.asarray(image.dataobj).astype(np.float32)
    voxels = ndimage.affine_transform(values, scale, output_shape=shape, order=1)
    return mark(Image(voxels, image.affine @ scale))


def measure_dice(one: Label, other: Label) -> float:
    """The least Dice of the three regions."""
    pairs = [(np.isin(one, v), np.isin(other, v)) for v in REGIONS.values()]
    return float(min(2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs))


def keeps_place(mask: Image, scan: Path) -> bool:
    """Tell whether a mask has the shape and the header's place, codes and units of a scan."""
    given = nibabel.load(scan)
    same = (np.array_equal(mask.header[field], given.header[field]) for field in KEPT)
    return bool(mask.shape == given.shape and all(same))


def main() -> None:
    """Measure and write the table."""
    options = _parse()
    student = read_student(options.bundle)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        dataset = find_dataset(
            write_phantoms(folder / "made", cases=1, size=tuple(options.size), seed=options.seed)
        )
        runtime = open_runtime(student, threads=options.threads)
        page = _format(_measure(Segmenter(student, runtime, dataset, folder), dataset))
    if options.output:
        write_bytes(options.output, page.encode())
    sys.stdout.write(page)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare masks of one phantom, stored variously.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--size", type=int, nargs=3, default=(240, 240, 155))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


Row = tuple[str, float, bool]


def _measure(segmenter: Segmenter, dataset: Dataset) -> Iterator[Row]:
    images, folder = load_upright(dataset), segmenter.folder
    upright = segmenter(
        {name: save(image, folder / f"up_{name}") for name, image in images.items()}
    )
    label = np.asarray(upright.dataobj)
    if not all(np.isin(label, values).any() for values in REGIONS.values()):
        raise SystemExit("the student finds nothing in one of the regions: give a trained one")
    yield _turned(segmenter, images, upright, "48 orders of axes")
    for name, store in STORAGES.items():
        files = {sequence: store(image, folder / sequence) for sequence, image in images.items()}
        mask = segmenter(files)
        found = np.asarray(mask.dataobj)
        yield name, measure_dice(found, label), keeps_place(mask, files["t1ce"])
        _remove(files)
    yield from _resampled(segmenter, images, label)


def _turned(segmenter: Segmenter, images: Images, upright: Image, name: str) -> Row:
    """The worst of 48 orders of axes."""
    scores, kept = [], []
    for turn in list_turns():
        files = {
            sequence: save(mark(image.as_reoriented(turn)), segmenter.folder / sequence)
            for sequence, image in images.items()
        }
        mask = segmenter(files)
        expected = np.asarray(upright.as_reoriented(turn).dataobj)
        scores.append(measure_dice(np.asarray(mask.dataobj), expected))
        kept.append(keeps_place(mask, files["t1ce"]))
        _remove(files)
    return name, min(scores), all(kept)


def _resampled(segmenter: Segmenter, images: Images, label: Label) -> Iterator[Row]:
    folder = segmenter.folder
    uneven = {n: mark(Image(image.dataobj, TURN @ UNEVEN)) for n, image in images.items()}
    straight = segmenter({name: save(image, folder / name) for name, image in uneven.items()})
    yield _turned(segmenter, uneven, straight, "the same, oblique, voxels of 0.9 x 1.15 x 1.1 mm")
    for counts in ((1, 1, 2), (2, 2, 1)):
        files = {n: save(insert_voxels(i, counts), folder / n) for n, i in images.items()}
        mask = segmenter(files)
        found = np.asarray(mask.dataobj)[tuple(slice(None, None, count) for count in counts)]
        spacing = " x ".join(f"{1 / count:g}" for count in counts)
        kept = keeps_place(mask, files["t1ce"])
        yield f"interpolated to {spacing} mm", measure_dice(found, label), kept


def _remove(files: Mapping[str, Path]) -> None:
    for file in files.values():
        for left in file.parent.glob(f"{file.name.partition('.')[0]}.*"):
            left.unlink()


def _format(rows: Iterator[Row]) -> str:
    told = [f"| {name} | {dice:.4f} | {'yes' if kept else 'no'} |" for name, dice, kept in rows]
    head = ["| storage | least Dice of a region | grid and codes kept |", "|---|---|---|"]
    return "\n".join([*head, *told, ""])


if __name__ == "__main__":
    main()
