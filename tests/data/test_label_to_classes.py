import torch

from monai_kd.data import LabelToClassesd

CLASSES = {"background": (0,), "Anterior": (2,), "Posterior": (5,)}
LABEL = torch.tensor([[[0, 2], [5, 9]]])


def test_each_value_becomes_the_number_of_its_class_and_others_background():
    numbers = LabelToClassesd("label", CLASSES)({"label": LABEL})["label"]
    assert numbers.tolist() == [[[0.0, 1.0], [2.0, 0.0]]]


def test_a_case_without_label_is_unknown_everywhere():
    case = LabelToClassesd("label", CLASSES)({"image": torch.ones(4, 2, 3)})
    assert case["label"].shape == (1, 2, 3)
    assert bool((case["label"] == -1).all())
