"""Memory formats of networks, which may be loaded and converted inside of inference mode or outside."""

import pytest
import torch

from gpu_subscriber.engine.tuning.memory_formats import set_memory_format


@pytest.mark.parametrize("is_loaded_inside", [True, False])
@pytest.mark.parametrize("is_converted_inside", [True, False])
def test_convolutions_are_converted_and_others_are_not(
    *, is_loaded_inside: bool, is_converted_inside: bool
) -> None:
    with torch.inference_mode(is_loaded_inside):
        convolution, linear = torch.nn.Conv2d(4, 4, 3), torch.nn.Linear(16, 2)
        network = torch.nn.Sequential(convolution, torch.nn.Flatten(), linear)
    before = [weight.data_ptr() for weight in linear.parameters()]
    with torch.inference_mode(is_converted_inside):
        set_memory_format(network, torch.channels_last)
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert not convolution.weight.is_contiguous()
    assert [weight.data_ptr() for weight in linear.parameters()] == before
    with torch.inference_mode():
        assert network(torch.zeros(1, 4, 4, 4)).shape == (1, 2)
    set_memory_format(network, torch.contiguous_format)
    assert convolution.weight.is_contiguous()
