"""Weights, devices, words and names as they come, through the command in its own process."""

import os
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from monai_kd import cli
from tests.damage.command import ROOT, list_masks, predict, words

BROKEN_CUDA = "import torch\ntorch.cuda.is_available = lambda: True\n"


@pytest.mark.parametrize(
    ("gone", "options", "code"),
    [(["pt"], [], 0), (["onnx", "pt"], [], 2), (["onnx"], ["--runtime", "openvino"], 2)],
)
def test_missing_weights_are_one_line_unless_others_do(one, out, own_bundle, gone, options, code):
    for kind in gone:
        (own_bundle / "models" / f"model.{kind}").unlink()
    done = predict(one, out, own_bundle, *options)
    assert (done.code, len(done.faults)) == (code, 1 if code else 0)
    assert list_masks(out) == ([] if code else ["P1"])
    assert all(str(own_bundle) in line for line in done.faults)


def test_a_truncated_graph_is_one_line_and_no_result(one, out, own_bundle):
    graph = own_bundle / "models" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:2000])
    done = predict(one, out, own_bundle)
    assert (done.code, len(done.faults), list_masks(out)) == (2, 1, [])
    assert f"{graph} holds no weights" in done.faults[0]


@pytest.mark.filterwarnings("error")  # torch would say more on standard error
@pytest.mark.parametrize("fault", ["truncated", "pickled"])
def test_a_checkpoint_of_no_weights_is_one_line_runs_nothing_and_is_not_advised(
    one, out, own_bundle, tmp_path, capsys, fault
):
    checkpoint, mark = own_bundle / "models" / "model.pt", tmp_path / "ran"
    content = checkpoint.read_bytes()[:5000] if fault == "truncated" else pickle.dumps(_Run(mark))
    checkpoint.write_bytes(content)
    code = cli.main(words(one, out, own_bundle, "--runtime", "torch")[3:])
    (line,) = capsys.readouterr().err.splitlines()
    assert (code, list_masks(out), mark.exists()) == (2, [], False)
    assert str(checkpoint) in line
    assert "weights_only" not in line


@dataclass
class _Run:
    """Makes a folder as it is unpickled."""

    mark: Path

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


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
    done = predict(one, out, bundle, env=os.environ | {"LANG": "C", "LC_ALL": "C"})
    assert (done.code, len(done.faults)) == (1, 1)
    assert done.faults[0].startswith(r"ERROR P\udcff: ")
    assert list_masks(out) == sorted(["P1", good])


def _link_to_itself(place):
    place.symlink_to(place)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("empty", os.mkdir),
        ("absent", lambda place: None),
        ("pipe.nii.gz", os.mkfifo),
        ("loop", _link_to_itself),
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
