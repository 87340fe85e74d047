"""Scans named after the channels that somebody asks for, or, of one channel, named as they like."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.brats.sequences import SEQUENCES
from data_prep.case import Case, Dataset
from data_prep.layouts.parts import (
    LABEL,
    Identity,
    ImageFile,
    Part,
    Reading,
    list_volumes,
    make_dataset,
    stem_of,
)


def find_by_channel(folder: Path, channels: Sequence[str]) -> Dataset | None:
    """Read `<channel>.nii.gz` of a folder for each case, or `<case>_<channel>.nii.gz`.

    Of one channel, every other file of `folder` itself is a case, too.
    """
    volumes = [volume for volume in list_volumes(folder) if len(volume.parts) <= 2]
    read = {volume: _read_name(folder, volume, channels) for volume in volumes}
    parts = tuple(part for part in read.values() if part is not None)
    strays = tuple(volume for volume, part in read.items() if part is None)
    if not parts:
        return None
    patterns = {name: f"*{name}*" for name in (*channels, LABEL)}
    reading = Reading("channels by name", tuple(channels), patterns, None, parts, strays)
    return make_dataset(folder, reading, partial=True)


def rename_channels(dataset: Dataset, channels: Sequence[str]) -> Dataset:
    """Call the images of a dataset as `channels` are called."""
    own = match_channels(dataset.modalities, channels)
    cases = tuple(_rename(case, own) for case in dataset.cases)
    return replace(dataset, modalities=tuple(own.values()), cases=cases)


def match_channels(names: Sequence[str], channels: Sequence[str]) -> dict[str, str]:
    """Say which channel each name means: in whatever letters, or the only one of any name.

    >>> match_channels(("mri", "CT"), ("MRI", "PET"))
    {'mri': 'MRI', 'CT': 'CT'}
    """
    if len(names) == len(channels) == 1 and not {*names, *channels} & {*SEQUENCES}:
        return {names[0]: channels[0]}
    known = {channel.casefold(): channel for channel in channels}
    return {name: known.get(name.casefold(), name) for name in names}


def _rename(case: Case, own: Mapping[str, str]) -> Case:
    return replace(case, images={own[name]: image for name, image in case.images.items()})


def _read_name(folder: Path, volume: Path, channels: Sequence[str]) -> Part | None:
    stem, place, image = stem_of(volume), volume.parent.as_posix(), ImageFile(folder / volume)
    for channel in channels:
        match = re.fullmatch(rf"(?:(.+)[_-])?{re.escape(channel)}", stem, re.IGNORECASE)
        if match is not None:
            name = match[1] or (folder / volume).parent.name
            return Part(Identity(name, place, name), channel, image)
    if len(channels) > 1 or volume.parent != Path():
        return None
    name = stem.removesuffix("_0000")  # as nnU-Net has it
    return Part(Identity(name, place, name), channels[0], image)
