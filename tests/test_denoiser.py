"""The three predictions agree where they must."""

import pytest
import torch

from dmap.method.denoiser import derivative, from_network, gaussian_denoiser
from toys import TABLE, latents

SIGMA = TABLE[399]


@pytest.mark.parametrize("prediction", ["eps", "v", "flow"])
def test_a_perfect_network_gives_the_clean_latent(prediction: str) -> None:
    """A network that knows noise and signal must lead to D = x0 in every parametrisation."""
    clean, noise = latents(seed=1), latents(seed=2)
    sigma = torch.tensor(0.7, dtype=torch.float64) if prediction == "flow" else SIGMA
    root = (1 + sigma**2).sqrt()
    outputs = {"eps": noise, "v": noise / root - clean * sigma / root, "flow": noise - clean}
    u = (1 - sigma) * clean + sigma * noise if prediction == "flow" else clean + sigma * noise

    denoise = from_network(lambda x, t: outputs[prediction], prediction, None if prediction == "flow" else TABLE)

    assert torch.allclose(denoise(u, sigma), clean, atol=1e-12)
    expected = noise - clean if prediction == "flow" else noise
    assert torch.allclose(derivative(denoise, u, sigma), expected, atol=1e-12)


def test_network_sees_its_own_scale_and_timestep() -> None:
    seen = {}

    def network(x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        seen["std"], seen["t"], seen["dtype"] = float(x.double().std()), timesteps.tolist(), x.dtype
        return torch.zeros_like(x)

    u = latents(size=32) * (1 + SIGMA**2).sqrt()
    result = from_network(network, "eps", TABLE, dtype=torch.float16)(u, SIGMA)
    assert seen["t"] == [399.0, 399.0]
    assert seen["dtype"] is torch.float16
    assert seen["std"] == pytest.approx(1.0, abs=0.05)
    assert result.dtype is torch.float64


def test_gaussian_denoiser_is_the_posterior_mean() -> None:
    denoise = gaussian_denoiser(4.0, mean=1.0)
    u = latents()
    assert torch.allclose(denoise(u, torch.tensor(2.0)), 1 + (u - 1) / 2)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="prediction"):
        from_network(lambda x, t: x, "x0", TABLE)
    with pytest.raises(ValueError, match="table"):
        from_network(lambda x, t: x, "v")
