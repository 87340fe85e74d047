import json
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from errno import ENOSPC

import pytest

from data_prep.__main__ import main
from data_prep.command_line import run_command
from monai_kd import cli


def test_phantoms_are_written_and_the_folder_is_told(tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(["phantoms", str(folder), "--cases", "1", "--size", "32", "34", "36"]) == 0
    assert capsys.readouterr().out == f"1 phantoms in {folder}\n"
    assert len(list(folder.glob("HGG/*/*.nii.gz"))) == 5


def test_what_cannot_be_done_is_one_line_and_exit_code_two(tmp_path, capsys):
    (tmp_path / "thesis.txt").touch()
    assert main(["phantoms", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("python -m data_prep: ")
    assert captured.out == ""


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("phantoms", ("OUT", "--cases", "--size", "--seed", "--layout", "--workers")),
        ("check", ("DIR", "--labels", "--order", "--json", "--html", "--datalist", "Exit code")),
        ("voxelise", ("DIR", "OUT", "--labels", "--order", "--spacing", "Exit code")),
        ("points", ("INPUT", "OUT", "--like SCAN", "Exit code")),
    ],
)
def test_help_names_every_option(command, options, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in options)


def test_a_check_of_sound_cases_prints_the_mapping_and_writes_what_is_asked(
    phantoms, tmp_path, capsys
):
    files = {name: tmp_path / f"{name}.out" for name in ("json", "html", "datalist")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    assert main(["check", str(phantoms), *options]) == 0
    captured = capsys.readouterr()
    assert "t1ce: *_t1ce.nii.gz" in captured.out
    assert "brats2021 (1 necrotic core, 2 oedema, 4 enhancing tumour)" in captured.out
    assert captured.err == ""
    assert json.loads(files["json"].read_text())["exit_code"] == 0
    assert "<table" in files["html"].read_text()
    assert len(json.loads(files["datalist"].read_text())["training"]) == 6


def test_monai_kd_checks_as_data_prep_does(own_phantoms, capsys):
    next(own_phantoms.glob("HGG/*/*_t2.nii.gz")).write_bytes(b"")
    codes, screens = [], []
    for run in (main, cli.main):
        codes.append(run(["check", str(own_phantoms)]))
        screens.append(capsys.readouterr())
    assert codes == [1, 1]
    assert screens[0] == screens[1]
    assert "_t2.nii.gz: 0 bytes - copy or download it again [E102]" in screens[0].err


def test_a_list_never_replaces_a_file_of_the_data_set(phantoms, own_phantoms, capsys):
    victim = next(own_phantoms.glob("HGG/*/*_t2.nii.gz"))
    assert main(["check", str(own_phantoms), "--datalist", str(victim)]) == 2
    assert "lies in the data set" in capsys.readouterr().err
    source = phantoms / victim.relative_to(own_phantoms)
    assert victim.read_bytes() == source.read_bytes()


def test_voxelise_writes_the_cases_and_their_list_and_names_who_is_left_out(
    own_phantoms, tmp_path, capsys
):
    broken = next(own_phantoms.glob("HGG/*/*_t2.nii.gz"))
    broken.write_bytes(b"")
    out = tmp_path / "voxels"
    assert main(["voxelise", str(own_phantoms), str(out), "--workers", "1"]) == 1
    captured = capsys.readouterr()
    assert broken.name in captured.err
    assert "7 cases" in captured.out
    listed = json.loads((out / "dataset.json").read_text())
    assert list(listed["left_out"]) == [broken.parent.name]
    assert all((out / record["image"]).is_file() for record in listed["training"])


@pytest.mark.parametrize("spacing", [["0", "1", "1"], ["1", "1"], ["-1"]])
def test_an_impossible_spacing_is_refused_before_any_work(phantoms, tmp_path, capsys, spacing):
    assert main(["voxelise", str(phantoms), str(tmp_path / "out"), "--spacing", *spacing]) == 2
    assert "expected one or three sizes in mm above 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_spacing_zero_keeps_each_scans_own(phantoms, tmp_path, capsys):
    few = tmp_path / "few"
    shutil.copytree(phantoms / "HGG", few / "HGG")
    assert main(["voxelise", str(few), str(tmp_path / "out"), "--spacing", "0"]) == 0
    settings = json.loads((tmp_path / "out" / "voxels.json").read_text())["settings"]
    assert settings["spacing_mm"] is None
    assert "6 cases" in capsys.readouterr().out


def test_the_module_runs_as_a_command(tmp_path):
    command = [sys.executable, "-m", "data_prep", "phantoms", str(tmp_path), "--size", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("python -m data_prep: size 4: expected")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to resume"),
        (
            OSError(ENOSPC, "No space left on device"),
            2,
            "free some space, and run the same command again",
        ),
    ],
)
def test_what_stops_a_command_from_outside_is_told_in_one_line(capsys, error, code, words):
    def stop(_):
        raise error

    parser = ArgumentParser("tool")
    parser.set_defaults(run=stop)
    assert run_command(parser, []) == code
    assert words in capsys.readouterr().err
