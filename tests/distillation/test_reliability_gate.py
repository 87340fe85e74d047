from functools import partial

import torch

from monai_kd.distillation.reliability_gate import ReliabilityGate

LOGITS = torch.tensor([[[[-4.0, 0.0, 4.0]]]])
KNOWN, UNKNOWN = torch.tensor([[[[1.0, 1.0, 0.0]]]]), torch.full((1, 1, 1, 3), -1.0)


def test_trust_is_the_probability_of_the_truth_where_it_is_known():
    p = torch.sigmoid(LOGITS)
    expected = torch.where(KNOWN > 0, p, 1 - p)
    torch.testing.assert_close(ReliabilityGate()(LOGITS, KNOWN), expected)


def test_trust_is_confidence_where_the_truth_is_unknown():
    p = torch.sigmoid(LOGITS)
    entropy = -(p * p.log2() + (1 - p) * (1 - p).log2())
    torch.testing.assert_close(ReliabilityGate()(LOGITS, UNKNOWN), 1 - entropy)


def test_each_window_is_judged_by_its_own_label():
    both = ReliabilityGate()(torch.cat([LOGITS, LOGITS]), torch.cat([KNOWN, UNKNOWN]))
    alone = [ReliabilityGate()(LOGITS, label) for label in (KNOWN, UNKNOWN)]
    torch.testing.assert_close(both, torch.cat(alone))


def test_trust_stays_from_zero_to_one_however_sure_the_teacher_is():
    sure = torch.tensor([-50.0, 50.0, 0.0]).reshape(1, 1, 1, 3)
    for label in (KNOWN, UNKNOWN):
        trust = ReliabilityGate()(sure, label)
        assert trust.min() >= 0
        assert trust.max() <= 1


def test_of_classes_trust_is_the_probability_of_the_true_one_or_the_share_of_entropy():
    logits = torch.tensor([0.0, 1.0, 3.0]).reshape(1, 3, 1, 1).expand(1, 3, 1, 2)
    p = logits.softmax(dim=1)[0, :, 0, 0]
    gate = partial(ReliabilityGate(), exclusive=True)
    known = gate(logits, torch.tensor([[[[0.0, 2.0]]]]))
    torch.testing.assert_close(known.flatten(), p[[0, 2]])
    unknown = gate(logits, torch.full((1, 1, 1, 2), -1.0)).flatten()[0]
    torch.testing.assert_close(unknown, 1 + (p * p.log()).sum() / torch.tensor(3.0).log())
