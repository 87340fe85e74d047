"""Devices, words and names as they come, through the command in its own process."""

import os
import shutil

import pytest

from monai_kd import cli
from tests.damage.command import ROOT, list_masks, predict

BROKEN_CUDA = "import torch\ntorch.cuda.is_available = lambda: True\n"


def test_cuda_that_does_not_work_is_told_and_the_processor_does_it(one, out, bundle, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BROKEN_CUDA)
    places = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = predict(one, out, bundle, "--runtime", "torch", env=os.environ | {"PYTHONPATH": places})
    assert (done.code, done.faults) == (0, [])
    assert done.told[0].startswith("CUDA is there but does not work (")
    assert done.record("P1")["provenance"]["device"] == "CPU"


def test_names_of_any_script_work_without_a_locale_and_bytes_are_refused(one, out, bundle):
    good, bad = "Müller 患者 ☢", os.fsdecode(b"P\xff")
    for name in (good, bad):
        shutil.copytree(one / "P1", one / name)
        for scan in (one / name).iterdir():
            scan.rename(scan.with_name(scan.name.replace("P1", name)))
    out = out.with_name("résultats finaux")
    done = predict(one, out, bundle, env=os.environ | {"LANG": "C", "LC_ALL": "C"})
    assert (done.code, len(done.faults)) == (1, 1)
    assert done.record(good)["sequences"]["t2"]["file"] == f"{good}_t2.nii.gz"
    assert done.faults[0].startswith(r"ERROR P\udcff: ")
    assert list_masks(out) == sorted(["P1", good])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("empty", os.mkdir),
        ("absent", lambda place: None),
        ("pipe.nii.gz", os.mkfifo),
        ("loop", lambda place: place.symlink_to(place)),
    ],
)
def test_an_input_that_is_no_case_is_one_line_that_names_it(bundle, tmp_path, out, name, make):
    make(tmp_path / name)
    done = predict(tmp_path / name, out, bundle)
    assert (done.code, len(done.faults), out.exists()) == (2, 1, False)
    assert str(tmp_path / name) in done.faults[0]


def test_an_interrupt_while_the_command_is_loaded_is_one_line(monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", interrupt)
    assert cli.main(["predict"]) == 130
    assert capsys.readouterr().err == "monai-kd: interrupted before any work\n"
