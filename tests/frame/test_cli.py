from importlib.metadata import version

import pytest

from monai_kd import cli


def test_the_command_tells_its_version(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"monai_kd {version('monai_kd')}\n"
