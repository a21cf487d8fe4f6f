"""Graphs that the tests in a real host share: the tiny Stable Diffusion's and the demo models'."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from tools.host.server import Server

SMALL = {"image": "small.png"}


def tiny(graph: Any, kind: str = "EPS", photograph: str = SMALL["image"]) -> dict[str, tuple[str, int]]:
    """Tiny Stable Diffusion, photograph, latent and empty text."""
    loader = graph.add("DMAPTestTinySD", kind=kind, channels=4)
    image = graph.add("LoadImage", image=photograph)
    text = graph.add("CLIPTextEncode", text="", clip=(loader, 1))
    latent = graph.add("VAEEncode", pixels=(image, 0), vae=(loader, 2))
    return {
        "model": (loader, 0),
        "vae": (loader, 2),
        "image": (image, 0),
        "positive": (text, 0),
        "latent": (latent, 0),
    }


def tiny_lora(server: Server, name: str) -> str:
    """Write a LoRA of an attention of ``tiny``, named as LoRAs of real ones are; returns the file's name.

    Args:
        server: into its folder of LoRAs.
        name: of its own for each test: the host keeps a file that it has read.
    """
    generator = torch.Generator().manual_seed(0)
    key = "lora_unet_up_blocks_1_attentions_1_transformer_blocks_0_attn1_to_q"
    lora = {
        f"{key}.lora_up.weight": torch.randn(32, 4, generator=generator),
        f"{key}.lora_down.weight": torch.randn(4, 32, generator=generator),
        f"{key}.alpha": torch.tensor(4.0),
    }
    file = server.base / "models" / "loras" / f"{name}.safetensors"
    save_file(lora, file)
    return file.name


def restore(graph: Any, parts: dict[str, Any], **options: Any) -> tuple[str, str]:
    """Invert, optimise and decode; returns the ids of DMAPOptimize and of DMAPDecode."""
    names = {"solver": "residual_ddim", "steps": 3, "strength": 0.4, "max_error": 0.05}
    invert = graph.add(
        "DMAPInvert",
        model=parts["model"],
        latent=parts["latent"],
        positive=parts["positive"],
        **{key: options.pop(key, value) for key, value in names.items()},
    )
    prior = graph.add("DMAPLoadPrior", name="dmap_quality")
    settings = {
        "iterations": 2,
        "prior_weight": 1.0,
        "fidelity": "nlpd",
        "fidelity_weight": 1.0,
        "rule": "adam",
        "step_size": 0.02,
        "target_score": 150.0,
        "shift": 4,
        "seed": 0,
        "detail": "0",
    }
    optimise = graph.add(
        "DMAPOptimize",
        path=(invert, 0),
        vae=parts["vae"],
        prior=(prior, 0),
        image=parts["image"],
        **{**settings, **options},
    )
    decode = graph.add("DMAPDecode", path=(optimise, 0), vae=parts["vae"])
    return optimise, decode


def trace(outputs: dict[str, Any], node: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outputs[node]["dmap_trace"][0])
    return found


def pixels(server: Server, outputs: dict[str, Any], node: str) -> list[np.ndarray[Any, Any]]:
    files = [server.base / "output" / image["filename"] for image in outputs[node]["images"]]
    return [np.asarray(Image.open(file)) for file in files]


def ksampler(graph: Any, parts: dict[str, Any], prefix: str) -> str:
    sampled = graph.add(
        "KSampler", model=parts["model"], positive=parts["positive"], negative=parts["positive"],
        latent_image=parts["latent"], seed=5, steps=3, cfg=2.0, sampler_name="euler", scheduler="normal", denoise=0.8,
    )  # fmt: skip
    image = graph.add("VAEDecode", samples=(sampled, 0), vae=parts["vae"])
    saved: str = graph.add("SaveImage", images=(image, 0), filename_prefix=prefix)
    return saved


SETTINGS = {
    "iterations": 1, "prior_weight": 1.0, "fidelity": "nlpd_colour", "fidelity_weight": 10.0, "rule": "adam",
    "step_size": 0.03, "target_score": 200.0, "shift": 0, "seed": 0, "detail": "0",
}  # fmt: skip
"""With none of the lost detail: with it an ascent may begin where it is best already, and what it does is not seen."""


class Restoration:
    """The graph up to DMAP Optimize; 75x69 px, one step, one iteration.

    Args:
        spoil: what is done to the photograph, as DMAPTestSpoil names it.
        invert: values of DMAP Invert.
        models: "demo" or "sd", the tiny Stable Diffusion.
        photograph: file in the input folder.
        graph: to add to; a new one by default.
    """

    def __init__(
        self,
        tools: dict[str, Any],
        spoil: str = "none",
        invert: dict[str, Any] | None = None,
        models: str = "demo",
        photograph: str = "prime.png",
        graph: Any = None,
    ) -> None:
        self.graph = tools["Graph"]() if graph is None else graph
        add = self.graph.add
        if models == "demo":
            demo = add("DMAPLoadDemoModels")
            self.model, self.positive, self.vae = (demo, 0), (demo, 1), (demo, 2)
        else:
            loader = add("DMAPTestTinySD", kind="EPS", channels=4)
            self.model, self.vae = (loader, 0), (loader, 2)
            self.positive = (add("CLIPTextEncode", text="", clip=(loader, 1)), 0)
        loaded = add("LoadImage", image=photograph)
        self.image = (add("DMAPTestSpoil", image=(loaded, 0), kind=spoil), 0)
        self.latent = (add("DMAPEncode", image=self.image, vae=self.vae, tile=0), 0)
        options = {"solver": "residual_ddim", "steps": 1, "strength": 0.3, "max_error": 0.05, **(invert or {})}
        self.invert = add("DMAPInvert", model=self.model, latent=self.latent, positive=self.positive, **options)
        self.prior = (add("DMAPLoadPrior", name="dmap_quality"), 0)

    def optimise(self, **options: Any) -> str:
        sockets = {"path": (self.invert, 0), "vae": self.vae, "prior": self.prior, "image": self.image}
        key: str = self.graph.add("DMAPOptimize", **{**sockets, **SETTINGS, **options})
        return key

    def decode(self, source: str, **options: Any) -> tuple[str, int]:
        return self.graph.add("DMAPDecode", path=(source, 0), vae=self.vae, **options), 0

    def compare(self, first: tuple[str, int], second: tuple[str, int], mask: tuple[str, int] | None = None) -> str:
        more = {} if mask is None else {"mask": mask}
        key: str = self.graph.add("DMAPTestCompare", first=first, second=second, **more)
        return key


def read(outputs: dict[str, Any], node: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outputs[node]["text"][0])
    return found
