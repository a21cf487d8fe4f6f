"""Ways to restore, all MAP ones with the same prior and the same objective."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from skimage.restoration import denoise_nl_means, estimate_sigma
from torch import Tensor

from dmap.image.detail import estimated_share, weighted
from dmap.image.photograph import Photograph
from dmap.method.ascent import Ascent
from dmap.models.diffusion import LatentDiffusion, shipped
from dmap.models.spaces import moving_in, settings_in
from dmap.priors import PRIORS, Prior, load_prior
from dmap.priors.own import OwnQuality
from dmap.restoration import begin, finish
from dmap.settings import Settings


@dataclass(frozen=True)
class Method:
    """One way to restore.

    Attributes:
        space: "input", "non-local means", "autoencoder" (its round trip alone), "start" (with the estimated share of
            what that lost: where the ascents begin), or where a MAP ascent moves: "pixels", "latent" (of the
            autoencoder) or "diffusion".
        step_size: of the ascent; ``--search`` found it for each method.
        solver, strength, steps, gradient: of the diffusion path.
        detail: share of what the autoencoder lost that is part of the image, or "auto".
        finished: whether its picture is finished as DMAP Decode does, with the photograph's colours.
    """

    space: str
    step_size: float = 0.0
    solver: str = "residual_ddim"
    strength: float = Settings.strength
    steps: int = Settings.steps
    gradient: str = "sparse"
    detail: str = Settings.detail
    finished: bool = False

    @property
    def ascends(self) -> bool:
        """Whether it is a MAP method."""
        return self.space in ("pixels", "latent", "diffusion")


METHODS = {
    "input": Method("input"),
    "non-local means": Method("non-local means"),
    "autoencoder alone": Method("autoencoder"),
    "autoencoder and detail": Method("start"),
    "MAP on pixels": Method("pixels", 0.004),
    "MAP in the autoencoder's latent": Method("latent", 0.04),
    "MAP in diffusion, EDICT": Method("diffusion", 0.08, solver="edict", gradient="keep"),
    "MAP in diffusion": Method("diffusion", 0.08),
    "MAP in diffusion, nodes' defaults": Method(
        "diffusion", Settings.step_size, gradient=Settings.gradient, finished=True
    ),
    "MAP in diffusion, full path": Method("diffusion", 0.02, strength=1.0, steps=6, gradient="keep"),
}
DEFAULTS = "MAP in diffusion, nodes' defaults"


@dataclass(frozen=True)
class Budget:
    """What all MAP methods share.

    Attributes:
        iterations: of the ascent.
        prior_weight, fidelity_weight: of the objective.
        target: prior score at which an image stops.
    """

    iterations: int = Settings.iterations
    prior_weight: float = Settings.prior_weight
    fidelity_weight: float = Settings.fidelity_weight
    target: float = Settings.target_score


@dataclass
class Tools:
    """The shipped networks; the prior may be another training seed's."""

    prior: Prior = field(default_factory=lambda: load_prior("dmap_quality"))
    diffusion: LatentDiffusion = field(default_factory=shipped)

    def __post_init__(self) -> None:
        self.prior.eval().requires_grad_(False)

    @classmethod
    def of(cls, prior: str) -> Tools:
        """With a prior by name, or a shipped quality network that is none by itself."""
        return cls(load_prior(prior) if prior in PRIORS else OwnQuality(prior))


@dataclass(frozen=True)
class Restored:
    """Images (B, 3, h, w) in [0, 1], their final objective (B,) (0 without an ascent), and seconds for all."""

    image: Tensor
    objective: Tensor
    seconds: float


def _non_local_means(image: Tensor) -> Tensor:
    """scikit-image's, with the noise's deviation estimated from the image as its documentation advises."""
    results = []
    for one in image:
        array = one.permute(1, 2, 0).double().numpy()
        sigma = float(np.mean(estimate_sigma(array, channel_axis=-1)))  # type: ignore[no-untyped-call]
        clean = denoise_nl_means(
            array, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, fast_mode=True, channel_axis=-1
        )
        results.append(torch.from_numpy(clean).permute(2, 0, 1).float())
    return torch.stack(results).clamp(0, 1)


def settings_of(method: Method, budget: Budget) -> Settings:
    """A MAP method's."""
    settings = Settings(
        solver=method.solver,
        steps=method.steps,
        strength=method.strength,
        iterations=budget.iterations,
        prior_weight=budget.prior_weight,
        fidelity_weight=budget.fidelity_weight,
        step_size=method.step_size,
        target_score=budget.target,
        gradient=method.gradient,
        detail=method.detail,
        scale="absolute",
    )
    return settings_in(method.space, settings)


def start_ascent(tools: Tools, photograph: Tensor, method: Method, budget: Budget) -> Ascent:
    """Invert, and make the ascent ready."""
    model = moving_in(method.space, tools.diffusion)
    return begin(model, Photograph(photograph), tools.prior, settings_of(method, budget))


def restore(tools: Tools, photograph: Tensor, method: Method, budget: Budget) -> Restored:
    """Restore a batch (B, 3, h, w), each image on its own."""
    none = torch.zeros(len(photograph))
    if method.space == "input":
        return Restored(photograph, none, 0.0)
    if method.space == "non-local means":
        return Restored(_non_local_means(photograph), none, 0.0)
    if method.space in ("autoencoder", "start"):
        with torch.no_grad():
            image = tools.diffusion.decode(tools.diffusion.encode(photograph))
            if method.space == "start":
                missing = photograph - image
                image = image + weighted(missing, estimated_share(photograph, missing))
            return Restored(image.clamp(0, 1), none, 0.0)
    ascent = start_ascent(tools, photograph, method, budget)
    ascent.run()
    assert ascent.image is not None
    image = ascent.image
    if method.finished:
        image, _ = finish(moving_in(method.space, tools.diffusion), ascent.path, settings_of(method, budget))
    best = [max(row.objective[index] for row in ascent.trace.rows) for index in range(len(photograph))]
    return Restored(image, torch.tensor(best), ascent.trace.rows[-1].seconds)
