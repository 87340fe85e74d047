import subprocess
import sys

import pytest

from data_prep.__main__ import main


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
    assert captured.err.startswith("data_prep: ")
    assert captured.out == ""


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as end:
        main(["phantoms", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("OUT", "--cases", "--size", "--seed", "--workers"))


def test_the_module_runs_as_a_command(tmp_path):
    command = [sys.executable, "-m", "data_prep", "phantoms", str(tmp_path), "--size", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("data_prep: size 4: expected")
