from pathlib import Path

import pytest

from monai_kd.export.folders import replace_folder


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def fill_twice(final: Path) -> None:
    with replace_folder(final) as folder:
        (folder / "new").mkdir()
        (folder / "new").mkdir()


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "final"
    with replace_folder(final) as folder:
        (folder / "new").touch()
        assert not final.exists()
    assert names(tmp_path) == ["deep", "deep/final", "deep/final/new"]


def test_a_new_folder_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "old").touch()
    with replace_folder(tmp_path / "final") as folder:
        (folder / "new").touch()
    assert names(tmp_path) == ["final", "final/new"]


def test_a_failure_leaves_the_older_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "old").touch()
    with pytest.raises(FileExistsError):
        fill_twice(tmp_path / "final")
    assert names(tmp_path) == ["final", "final/old"]


def test_an_older_folder_comes_back_where_the_new_one_cannot_be_placed(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "old").touch()
    with pytest.raises(FileNotFoundError), replace_folder(tmp_path / "final") as folder:
        folder.rmdir()
    assert names(tmp_path) == ["final", "final/old"]
