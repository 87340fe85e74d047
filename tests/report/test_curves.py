from monai_kd.report.curves import draw_losses, draw_scores


def test_a_term_that_comes_later_has_a_curve_of_its_own():
    first = {"epoch": 1, "loss": {"supervised": 1.0, "total": 1.0}}
    second = {"epoch": 2, "loss": {"supervised": 0.8, "soft_label": 0.1, "total": 0.9}}
    third = {"epoch": 3, "loss": {"supervised": 0.7, "soft_label": 0.1, "total": 0.8}}
    svg = draw_losses("Student", [first, second, third])
    assert all(name in svg for name in ("supervised", "soft label", "total"))


def test_a_network_that_was_trained_elsewhere_has_no_curve(metrics):
    metrics["networks"]["teacher"]["history"] = []
    svg = draw_scores(metrics)
    assert "Teacher" not in svg
    assert "Student" in svg
