import torch
from monai.inferers import SimpleInferer
from torch import nn

from monai_kd.experiment.cost import count_cost, time_inference


def test_a_convolution_costs_what_its_formula_says():
    cost = count_cost(nn.Conv3d(4, 3, 3, padding=1), channels=4, window=(8, 8, 8))
    assert cost == {"parameters": 27 * 12 + 3, "macs": 8**3 * 27 * 12, "window": [8, 8, 8]}


def test_attention_is_counted_in_evaluation_as_in_training():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    network = nn.Sequential(nn.Flatten(2), layer)
    image = {"channels": 4, "window": (2, 2, 2)}
    assert count_cost(network.eval(), **image) == count_cost(network.train(), **image)
    assert torch.backends.mha.get_fastpath_enabled()


def test_logits_of_every_image_come_with_a_time():
    images = [torch.randn(1, 4, 6, 6, 6) for _ in range(2)]
    network = nn.Conv3d(4, 3, 1)
    milliseconds, logits = time_inference(network, images=images, inferer=SimpleInferer())
    assert milliseconds > 0
    torch.testing.assert_close(logits[1], network(images[1])[0])
