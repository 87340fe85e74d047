"""One damaged input by its number: the same on every run with the same seed."""

import json
from pathlib import Path

import numpy as np

from data_prep.brats.sequences import SEQUENCES
from tests.acceptance.fuzz import dicom, nifti, streams
from tests.acceptance.fuzz.mutant import Content, Mutant, Random

KINDS = {
    "header": 0.46,
    "stream": 0.22,
    "name": 0.08,
    "channels": 0.08,
    "DICOM": 0.12,
    "bundle": 0.04,
}
NAMES = (
    "a b", "é", "日本語", "\udcff\udcfe", "new\nline", "tab\t", "<script>alert(1)</script>", "-x",
    "--debug", "a" * 200, "a" * 250, "..", ".hidden", "'; DROP", '"', "$HOME", "%s%n", "{0}",
    "\x1b[31m", "CON", "a:b", "a\\b", "_", ".", "case.nii", "x_t1", "t1ce",
    "\u202egpj", "e\u0301", "\x7f", "0",
)  # fmt: skip
FACTS = (None, 0, -1, 1e308, "", "x", [], {}, True, [[]], "$import('os')", "@x", 10**20)


def make_mutant(seed: int, number: int, bundle: Path) -> Mutant:
    """Damage something at random, from `seed` and `number` alone."""
    random = np.random.default_rng([seed, number])
    kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
    if kind == "DICOM":
        told, files = dicom.make_files(random)
        return Mutant(kind, told, files)
    if kind == "bundle":
        return _damage_bundle(random, bundle)
    if kind == "channels":
        return _damage_channels(random)
    return _damage_case(kind, random)


def _damage_case(kind: str, random: Random) -> Mutant:
    """Damage one scan of a case, or all of them in the same way."""
    case = nifti.make_case(random)
    folder, told, ending = "case", "", ".nii.gz"
    chosen = list(SEQUENCES) if random.random() < 0.5 else [str(random.choice(SEQUENCES))]
    contents = {}
    if kind == "name":
        folder = "".join(str(random.choice(NAMES)) for _ in range(int(random.integers(1, 3))))
        told, ending = (
            f"named {folder!r}",
            str(random.choice([".nii.gz", ".nii", ".NII.GZ", ".gz"])),
        )
    state = random.bit_generator.state
    for name in chosen:
        random.bit_generator.state = state  # alike in all of them
        if kind == "header":
            told = _damage_volume(case[name], random)
        elif kind == "stream":
            told, contents[name] = streams.damage(case[name].bytes, random)
    spread = "all scans" if len(chosen) > 1 else chosen[0]
    for name in SEQUENCES:
        contents.setdefault(name, Content(streams.compress(case[name].bytes)))
    files = {f"{folder}/{folder}_{name}{ending}": contents[name] for name in SEQUENCES}
    return Mutant(kind, f"{spread}: {told}", files, input=folder)


def _damage_volume(volume: nifti.Volume, random: Random) -> str:
    ways = [nifti.WAYS[int(random.integers(len(nifti.WAYS)))]]
    if random.random() < 0.2:
        ways.append(nifti.WAYS[int(random.integers(len(nifti.WAYS)))])
    return "; ".join(way(volume, random) for way in ways)


def _damage_channels(random: Random) -> Mutant:
    """One file with four channels, its header damaged, or its stream."""
    case = nifti.make_case(random)
    volume = case["flair"]
    volume.voxels = np.stack([case[name].voxels for name in SEQUENCES], axis=-1)
    volume.set("dim", (4, *volume.voxels.shape, 1, 1, 1))
    told = _damage_volume(volume, random)
    content = Content(streams.compress(volume.bytes))
    if random.random() < 0.2:
        more, content = streams.damage(volume.bytes, random)
        told += f"; {more}"
    orders = ("t1ce,t1,t2,flair", "flair,t1,t1ce,t2", "t1,t2", "t1,t2,flair,t1ce,x", "x,y", "t1,t1")
    order = str(random.choice(orders, p=[0.7, 0.1, 0.05, 0.05, 0.05, 0.05]))
    files = {"BRATS_001.nii.gz": content}
    told = f"{order}: {told}"
    return Mutant("channels", told, files, "BRATS_001.nii.gz", ("--order", order))


def _damage_bundle(random: Random, bundle: Path) -> Mutant:
    """A good case, and a bundle of which one file says something else."""
    files = {
        f"bundle/{path.relative_to(bundle).as_posix()}": path.read_bytes()
        for room in ("configs", "models")
        for path in sorted((bundle / room).iterdir())
    }
    name = str(random.choice([file for file in sorted(files) if file.endswith((".json", ".onnx"))]))
    if name.endswith(".json") and random.random() < 0.6:
        content = json.loads(files[name])
        told = _change_fact(content, random)
        files[name] = json.dumps(content).encode()
    else:
        damaged = bytearray(files[name])
        places = random.integers(0, len(damaged), int(random.integers(1, 6))).tolist()
        for place in places:
            damaged[place] ^= 1 << int(random.integers(8))
        files[name] = bytes(damaged[: places[0]] if random.random() < 0.3 else damaged)
        told = f"bytes {places}, {len(files[name])} of {len(damaged)} left"
    case = {
        f"case/case_{modality}.nii.gz": streams.compress(volume.bytes)
        for modality, volume in nifti.make_case(random).items()
    }
    contents = {path: Content(content) for path, content in (files | case).items()}
    return Mutant("bundle", f"{name}: {told}", contents)


def _change_fact(content: object, random: Random) -> str:
    """Go down at random, and put something else there or take it away."""
    path = []
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))  # type: ignore[call-overload, arg-type]
        if not keys:
            return f"{path} as it was"
        key = keys[int(random.integers(len(keys)))]
        path.append(key)
        inner = content[key]  # type: ignore[index]
        if not (isinstance(inner, dict | list) and inner and random.random() < 0.85):
            break
        content = inner
    if random.random() < 0.3:
        del content[key]  # type: ignore[attr-defined]
        return f"{path} lost"
    fact = FACTS[int(random.integers(len(FACTS)))]
    content[key] = fact  # type: ignore[index]
    return f"{path} is {fact!r}"
