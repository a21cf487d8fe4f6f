"""Memory of flow models at their real size, from shapes alone: ``python -m tools.benchmarks.flow_shapes``.

diffusers' transformers and autoencoder with fake weights (shapes without data) take an ascent step with fake images,
whole and by blocks; ``dmap.memory`` counts the tensors as it does before every run. Nothing is computed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from dmap.memory.blocks import Denoising
from dmap.memory.decoding import Decoding
from dmap.memory.plan import Needs, gib, measure, measure_decoder
from dmap.method.fidelity import fidelity
from dmap.method.objective import Objective
from dmap.models.diffusers_flows import NETWORKS, PATCH
from dmap.models.empty_text import Conditioning
from dmap.priors import load_prior
from tools.benchmarks.shapes import fake
from tools.benchmarks.step import head, row

TOKENS = 128
"""Of the text; the empty one has fewer in most models, and 77 and more where they are padded."""
VAE = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "latent_channels": 16,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A model: diffusers' class and configuration, the text's width, the pooled text's (0: none), channels and pixels
    of a latent position as the transformer sees it."""

    kind: str
    config: dict[str, Any]
    width: int
    pooled: int = 0
    channels: int = 16
    pixels: int = 8


CASES = {
    "SD3.5 medium": Case(
        "SD3Transformer2DModel",
        {
            "num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536, "pos_embed_max_size": 384,
            "qk_norm": "rms_norm", "dual_attention_layers": tuple(range(13)),
        },
        4096,
        2048,
    ),
    "FLUX.2 klein 4B": Case(
        "Flux2Transformer2DModel",
        {
            "num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680,
            "guidance_embeds": False,
        },
        7680,
        channels=128,
        pixels=16,
    ),
    "Z-Image": Case("ZImageTransformer2DModel", {}, 2560),
    "Flux.1 dev": Case("FluxTransformer2DModel", {"guidance_embeds": True}, 4096, 768),
    "Qwen-Image": Case("QwenImageTransformer2DModel", {}, 3584),
}  # fmt: skip


def _flux2(transformer: Any, conditioning: Conditioning) -> Callable[[Tensor, Tensor], Tensor]:
    def network(x: Tensor, timesteps: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        tokens, text = x.flatten(2).movedim(1, 2), conditioning.context.to(x)
        out: Any = transformer(
            hidden_states=tokens, timestep=timesteps / 1000, guidance=None, encoder_hidden_states=text,
            txt_ids=torch.zeros(text.shape[1], 4), img_ids=torch.zeros(height * width, 4),
        ).sample  # fmt: skip
        result: Tensor = out.movedim(1, 2).reshape(len(x), -1, height, width)
        return result

    return network


def _qwen(transformer: Any, conditioning: Conditioning) -> Callable[[Tensor, Tensor], Tensor]:
    def network(x: Tensor, timesteps: Tensor) -> Tensor:
        height, width = (side // PATCH for side in x.shape[-2:])
        out: Any = transformer(
            hidden_states=nn.functional.pixel_unshuffle(x, PATCH).flatten(2).movedim(1, 2), timestep=timesteps / 1000,
            encoder_hidden_states=conditioning.context.to(x), img_shapes=[[(1, height, width)]] * len(x),
        ).sample  # fmt: skip
        return nn.functional.pixel_shuffle(out.movedim(1, 2).unflatten(2, (height, width)), PATCH)

    return network


OWN_CALLS = {"Flux2Transformer2DModel": _flux2, "QwenImageTransformer2DModel": _qwen}
"""Of kinds that the command cannot load."""


def transformer_of(case: Case, mode: FakeTensorMode) -> Any:
    """The transformer in bfloat16 without data."""
    import diffusers

    with torch.device("meta"):
        made = getattr(diffusers, case.kind)(**case.config).to(torch.bfloat16)
    fake(made, mode)
    return made.eval().requires_grad_(False)


def decoder_of(mode: FakeTensorMode) -> Any:
    """The autoencoder of 16 channels in bfloat16 without data; FLUX.2's folds its 32 by two beside that."""
    import diffusers

    classes: Any = diffusers
    with torch.device("meta"):
        made = classes.AutoencoderKL(**VAE).to(torch.bfloat16)
    fake(made, mode)
    return made.eval().requires_grad_(False)


def needs(case: Case, side: int, by_blocks: bool, level: str) -> tuple[int, Needs]:
    """Parameters of the transformer, and what an ascent step needs beside weights."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    transformer, vae = transformer_of(case, mode), decoder_of(mode)
    prior = load_prior("dmap_quality").requires_grad_(False)
    with mode:
        context = torch.empty(1, TOKENS, case.width, dtype=torch.bfloat16)
        pooled = torch.empty(1, case.pooled, dtype=torch.bfloat16) if case.pooled else None
        latent = torch.empty(1, case.channels, side // case.pixels, side // case.pixels, dtype=torch.bfloat16)
        image, hidden = torch.empty(1, 3, side, side), torch.empty(1, 16, side // 8, side // 8, dtype=torch.bfloat16)
        time = torch.empty(1)
    make = {**NETWORKS, **OWN_CALLS}[case.kind]
    network = make(transformer, Conditioning(context, pooled))
    denoising = Denoising(lambda u, sigma: u - sigma * network(u, time), transformer)
    if by_blocks:
        denoising.lighter()
    decoding = Decoding(lambda z: vae.decode(z).sample.float(), vae)
    while decoding.name != level and decoding.lighter():
        pass
    objective = Objective(prior, fidelity("nlpd_colour"), image, shift=0)
    with mode:
        call = measure(lambda u: denoising(u, torch.tensor(1.0, dtype=torch.bfloat16)), latent)
        found = Needs(call, measure_decoder(decoding, hidden), measure(lambda x: objective(x).objective, image))
    return sum(p.numel() for p in transformer.parameters()), found


def table(names: Sequence[str], sides: Sequence[int]) -> Iterator[str]:
    """A row for each model, size and level."""
    columns = (
        "parameters",
        "a call keeps",
        "a call at once",
        "decoder",
        "stated",
        "with bf16 weights",
        "with fp8 weights",
    )
    yield from head("model, side", "network, decoder", *columns)
    for name in names:
        for side in sides:
            for by_blocks, level in ((False, "blocks"), (True, "blocks"), (True, "tiles of 32")):
                count, found = needs(CASES[name], side, by_blocks, level)
                stated = found.peak(0)
                sizes = (found.call.kept, found.call.peak, found.decoder.peak)
                cells = (*sizes, stated, stated + 2 * count, stated + count)
                levels = f"{'by blocks' if by_blocks else 'whole'}, {level}"
                yield row(f"{name}, {side} px", levels, f"{count / 1e9:.1f} B", *(gib(x) for x in cells))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.flow_shapes", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--sides", nargs="+", type=int, default=[512, 1024], help="of the image, pixels")
    options = parser.parse_args(arguments)
    for line in table(options.models, options.sides):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
