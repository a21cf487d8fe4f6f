"""A session: the host's model, autoencoder and prior, loaded together and differentiable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import comfy.model_management
import comfy.samplers
import torch
from torch import Tensor

from ...dmap.errors import UserError
from ...dmap.method.path import LatentPath
from ...dmap.models.diffusion import LatentDiffusion
from ...dmap.priors import Prior, PriorInfo
from ...dmap.restoration import Safeguards
from ...dmap.settings import Settings
from . import families, features, schedule
from .weights import held, plain

Result = TypeVar("Result")


@dataclass(frozen=True)
class HostPath:
    """What the DMAP_PATH socket carries.

    Attributes:
        path: the path, with its photograph if that is known.
        model, positive: model and conditioning that it was made with.
        preset, settings: of the DMAP Invert that made it; "" and None if it was loaded from a file.
    """

    path: LatentPath
    model: Any
    positive: list[Any]
    preset: str = ""
    settings: Settings | None = None


@dataclass(frozen=True)
class HostPrior:
    """What the DMAP_PRIOR socket carries.

    Attributes:
        prior: the prior; a composition shares the networks of its parts.
        patchers: under which the host's memory management moves those networks, one each.
    """

    prior: Prior
    patchers: tuple[Any, ...]

    def networks(self) -> list[PriorInfo]:
        """Facts of the priors that compositions are made of, or of this one."""
        return [leaf.info for leaf in self.prior.leaves()]

    @classmethod
    def of(cls, composition: Prior, *parts: HostPrior) -> HostPrior:
        """A composition with its parts' patchers, each once."""
        found = {id(patcher): patcher for part in parts for patcher in part.patchers}
        return cls(composition, tuple(found.values()))


@dataclass(frozen=True)
class HostRegion:
    """One of what the DMAP_REGIONS socket carries: MASK, weight, and a prior of its own or None."""

    mask: Tensor
    weight: float
    prior: HostPrior | None


@dataclass(frozen=True)
class HostSafeguards:
    """What the DMAP_SAFEGUARDS socket carries: the safeguards, and their judge under the host's memory management."""

    safeguards: Safeguards
    judge: HostPrior | None


@dataclass(frozen=True)
class Session:
    """What the body of a session works with; valid only while it runs.

    Attributes:
        model: the host's model and autoencoder as dmap's: with its conditioning, LoRA, control networks and hooks,
            guidance 1. Without an autoencoder it cannot decode, and it never encodes: the host has done so before.
        latent: (B, C, H, W) float32 in the model's scale.
        to_vae: latent in the model's scale -> the scale of the LATENT socket.
    """

    model: LatentDiffusion
    latent: Tensor
    to_vae: Callable[[Tensor], Tensor]


def _room(patchers: Sequence[Any], device: torch.device) -> Callable[[int], int]:
    """Asks the host for so many bytes, other models may have to go for them; returns how many are free."""

    def ask(wanted: int) -> int:
        mine = [loaded for loaded in comfy.model_management.current_loaded_models if _is_of(loaded, patchers)]
        comfy.model_management.free_memory(wanted, device, mine)
        return features.free_memory(patchers[0], device)

    return ask


def _is_of(loaded: Any, patchers: Sequence[Any]) -> bool:
    """Whether a model that the host has loaded is one of these."""
    return any(getattr(loaded.model, "model", None) is patcher.model for patcher in patchers)


def check_interrupt() -> None:
    """Raise the host's interrupt exception if the user asked to stop."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def score(prior: HostPrior, image: Tensor) -> list[float]:
    """Mapped scores of (B, 3, H, W) in [0, 1], image by image so that memory stays that of one."""
    comfy.model_management.load_models_gpu(list(prior.patchers), force_full_load=True)
    device = comfy.model_management.get_torch_device()
    scores = []
    with torch.inference_mode(False), torch.no_grad():
        for one in image:
            check_interrupt()
            scores.append(float(prior.prior(one[None].clone().to(device))))
    return scores


def path_latent(path: HostPath) -> Tensor:
    """The clean latent of a path on the scale of the LATENT socket."""
    with torch.inference_mode(False), torch.no_grad():
        latent = families.with_frames(path.path.latent.clone(), path.model)
        return families.without_frames(path.model.model.process_latent_out(latent))


def _attention(_: Any, *args: Any, **kwargs: Any) -> Tensor:
    """PyTorch's attention in place of the host's choice: the chunked one has no gradient."""
    from comfy.ldm.modules.attention import attention_pytorch

    result: Tensor = attention_pytorch(*args, **kwargs)
    return result


class _Body(comfy.samplers.Sampler):  # type: ignore[misc]
    """A sampler that runs our code where the host would sample, after it has prepared conditioning and control."""

    def __init__(self, body: Callable[[Any, dict[str, Any], Tensor], Any]) -> None:
        self.body = body
        self.result: Any = None

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        latent_image: Tensor | None = None,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        self.result = self.body(model_wrap, extra_args, noise if latent_image is None else latent_image)
        return torch.zeros_like(noise)


def run(
    model: Any,
    positive: Sequence[Any],
    latent: Tensor,
    body: Callable[[Session], Result],
    vae: Any = None,
    patchers: Sequence[Any] = (),
) -> Result:
    """Load everything in one request to the host's memory management and run ``body`` with gradients possible.

    Args:
        model: the MODEL socket's value; it is cloned, never changed.
        positive: the CONDITIONING socket's value.
        latent: (B, C, H, W) on the scale of the LATENT socket, or with one frame as young hosts have it.
        body: what to run.
        vae: the VAE socket's value, if the body decodes.
        patchers: further patchers that the body needs, such as a prior's.

    Raises:
        UserError: if the host cannot hold the model still, or computes a part of it by something without a gradient.
        MemoryError: if the weights do not fit on the device.
    """
    with torch.inference_mode(False), torch.no_grad(), features.differentiable_operations():
        patcher = model.clone()
        patcher.model_options.setdefault("transformer_options", {})["optimized_attention_override"] = _attention
        others = [*([vae.patcher] if vae is not None else []), *patchers]
        patcher.set_additional_models("dmap", others)
        guider = comfy.samplers.CFGGuider(patcher)
        try:
            guider.inner_set_conds({"positive": plain(positive)})
        except RuntimeError as error:
            if not features.is_dynamic(patcher):
                raise
            raise UserError(features.NO_HOOKS) from error
        guider.set_cfg(1.0)
        # With hooks the host has exchanged a model whose weights it pages.
        patcher = guider.model_patcher
        clean = families.with_frames(latent.clone().float(), model)
        # What the host itself asks for to sample; an iteration's needs are measured once the networks are there, and
        # room for them is made then.
        needed = patcher.model.memory_required([len(clean), *clean.shape[1:]])
        # Their weights come into memory of our own, see weights.py.
        needed += sum(other.model_size() for other in (patcher, *others) if features.is_dynamic(other))
        comfy.model_management.load_models_gpu([patcher, *others], memory_required=needed, force_full_load=True)

        def inner(wrap: Any, extra: dict[str, Any], latent_image: Tensor) -> Result:
            # What the conditioning brings along, such as ControlNets, the host has loaded as well by now.
            brought = [loaded for loaded in guider.loaded_models if hasattr(loaded, "model")]
            networks = list({id(other.model): other for other in (patcher, *others, *brought)}.values())
            changing = [patcher] if "registered_hooks" in extra["model_options"] else []
            still = [other for other in networks if other not in changing]
            with held(still, changing, watched=[other for other in still if other is not patcher]) as hold:
                return body(_session(wrap, extra, latent_image, model, vae, patcher.load_device, networks, hold))

        sampler = _Body(inner)
        try:
            guider.sample(torch.zeros_like(clean), clean, sampler, torch.tensor([1.0, 0.0]), disable_pbar=True)
        except RuntimeError as error:
            operation = features.without_gradient(error)
            if operation is None:
                raise
            raise UserError(features.NO_GRADIENT.format(operation)) from error
        result: Result = sampler.result
        return result


def _session(
    wrap: Any,
    extra: dict[str, Any],
    latent: Tensor,
    model: Any,
    vae: Any,
    device: torch.device,
    patchers: Sequence[Any],
    hold: Callable[[], None],
) -> Session:
    """Nothing handed to the host is ours any more, and nothing of the host's is kept: both sides get copies."""
    base, table = wrap.inner_model, families.levels(model)
    form = families.ordinary_format(base.latent_format)
    if table is None:
        raise RuntimeError("a model of an unknown kind: checks.check_model comes before a session")

    def denoise(u: Tensor, sigma: Tensor) -> Tensor:
        check_interrupt()
        hold()
        levels = sigma.to(u.device, torch.float32).expand(u.shape[0]).clone()
        x = families.with_frames(u, model).clone()
        schedule.settle(wrap.conds["positive"], wrap.model_patcher, levels, x.shape)
        with schedule.named_guidance(extra["model_options"]):
            out: Tensor = wrap(x, levels, model_options=extra["model_options"], seed=extra.get("seed"))
        return families.without_frames(out).to(u.dtype, copy=True)

    def decode(z: Tensor) -> Tensor:
        if vae is None:
            raise RuntimeError("this session was opened without an autoencoder")
        check_interrupt()
        hold()
        hidden = form.process_out(families.with_frames(z, model).clone()).to(vae.device, vae.vae_dtype)
        image = families.without_frames(vae.first_stage_model.decode(hidden)).float().to(device)
        return (image + 1) / 2

    def encode(_: Tensor) -> Tensor:
        raise RuntimeError("a session does not encode: DMAP Encode Photo and VAE Encode have done so before it")

    def to_vae(z: Tensor) -> Tensor:
        hidden: Tensor = form.process_out(families.with_frames(z, model).clone())
        return hidden

    return Session(
        model=LatentDiffusion(
            denoise=denoise,
            encode=encode,
            decode=decode,
            table=table,
            multiple=features.pixels_per_position(model),
            device=device,
            decoder=torch.nn.Module() if vae is None else vae.first_stage_model,
            modules=tuple(patcher.model for patcher in patchers),
            room=_room(patchers, device),
            flow=families.is_flow(model),
            network=base.diffusion_model,
            keeps=not features.is_quantised(base.diffusion_model),
        ),
        latent=families.without_frames(latent).clone().float(),
        to_vae=to_vae,
    )
