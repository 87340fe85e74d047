import pytest
import torch

from monai_kd.networks.msgff import CrossScaleAttention, MultiScaleFusion, ScaleGates, pool_to


def random_maps(channels: tuple[int, ...], *, edge: int = 16, batch: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, count, *[edge >> scale] * 3, generator=generator)
        for scale, count in enumerate(channels)
    ]


def test_gates_share_one_per_scale_on_average():
    gates = ScaleGates(8, scales=3)(torch.randn(4, 3, 8, 2, 2, 2))
    torch.testing.assert_close(gates.mean(dim=1), torch.ones(4))


def test_gates_depend_on_the_input():
    gates = ScaleGates(8, scales=3)(torch.randn(2, 3, 8, 2, 2, 2))
    assert not torch.allclose(gates[0], gates[1])


def test_cross_scale_attention_gives_one_coarse_volume_per_scale():
    attention = CrossScaleAttention(3, stage_channels=(4, 6, 8), token_channels=32)
    assert attention(random_maps((4, 6, 8))).shape == (2, 3, 32, 4, 4, 4)


def test_attention_carries_the_coarse_scale_to_the_fine_one():
    attention = CrossScaleAttention(3, stage_channels=(4, 6), token_channels=32)
    maps = [volume.requires_grad_() for volume in random_maps((4, 6))]
    attention(maps)[:, 0, :, 0, 0, 0].sum().backward()
    assert maps[1].grad[..., -1].abs().sum() > 0


def test_fused_maps_keep_size_and_channels_of_the_cnn_maps():
    channels = (4, 6, 8)
    fusion = MultiScaleFusion(3, stage_channels=channels, hidden_size=32)
    vit_maps = [torch.randn(2, 32, 2, 2, 2) for _ in channels]
    fused = fusion(random_maps(channels), vit_maps)
    assert [volume.shape for volume in fused] == [volume.shape for volume in random_maps(channels)]


@pytest.mark.parametrize("size", [(8, 12), (8, 12, 4)])
def test_pooling_keeps_the_mean(size):
    volume = torch.randn(2, 3, *size)
    pooled = pool_to(volume, torch.Size(edge // 4 for edge in size))
    torch.testing.assert_close(pooled.flatten(2).mean(2), volume.flatten(2).mean(2))
