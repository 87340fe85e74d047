from monai_kd.report import show_results


def test_the_end_of_a_run_shows_table_verdict_and_paths(run_dir, capsys):
    show_results(run_dir)
    screen = capsys.readouterr().out
    assert "Dice on the test cases" in screen
    assert "In this one run the student" in screen
    assert str(run_dir / "report.html") in screen
    assert str(run_dir / "bundle") in screen
