"""Two implementations, the host's and diffusers', of the same checkpoint agree to 1e-4 of each tensor's size."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dmap.cli import main
from dmap.models import empty_text
from dmap.models.diffusers_adapter import ARCHITECTURES, Architecture, from_diffusers, load_single_file
from dmap.models.diffusion import LatentDiffusion
from dmap.models.empty_text import Conditioning
from tools.host.server import ROOT, Server


def _load_probe() -> Any:
    """By its file: the folder is a pack for the host, which cannot be imported without one."""
    spec = importlib.util.spec_from_file_location("probe", Path(__file__).parent / "dmap_test_nodes" / "probe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.probe


probe = _load_probe()
TOLERANCE = 1e-4
WIDTH = 64
TINY_XL = Architecture(
    {
        **ARCHITECTURES[2048].unet,
        "block_out_channels": [WIDTH, 2 * WIDTH, 4 * WIDTH],
        "attention_head_dim": [1, 2, 4],
        "transformer_layers_per_block": [1, 1, 2],
        "cross_attention_dim": 64,
        "projection_class_embeddings_input_dim": 32 + 6 * 256,
    },
    {**ARCHITECTURES[2048].vae, "block_out_channels": [32] * 4, "layers_per_block": 1},
    ARCHITECTURES[2048].texts,
)


def agree(host: dict[str, Tensor], model: LatentDiffusion) -> None:
    here = probe("dmap", model.denoise, model.decode, model.table, host["latent"])
    for name, value in here.items():
        off = float((value - host[name]).norm() / host[name].norm())
        assert off < TOLERANCE, f"{name}: off by {off:.1e}"
        assert torch.isfinite(value).all()


def answers(server: Server, graph: Any, model: Any, positive: Any, vae: Any, file: str) -> dict[str, Tensor]:
    """The host's, for a latent of the small photograph's centre."""
    image = graph.add("LoadImage", image="small.png")
    crop = graph.add("ImageCrop", image=(image, 0), width=64, height=64, x=32, y=32)
    latent = graph.add("VAEEncode", pixels=(crop, 0), vae=vae)
    graph.add("DMAPTestProbe", model=model, positive=positive, vae=vae, latent=(latent, 0), file=file)
    server.run(graph.prompt)
    server.free()
    return load_file(server.base / "output" / file)


@pytest.mark.parametrize("kind", ["EPS", "V_PREDICTION"])
def test_a_narrow_sdxl(server: Server, tools: dict[str, Any], kind: str) -> None:
    graph = tools["Graph"]()
    loader = graph.add("DMAPTestTinyXL", kind=kind, file="tiny_xl.safetensors")
    host = answers(server, graph, (loader, 0), (loader, 1), (loader, 2), f"xl_{kind}.safetensors")
    conditioning = Conditioning(host["context"], host["pooled"])
    parts = load_single_file(server.base / "output" / "tiny_xl.safetensors", conditioning, architecture=TINY_XL)
    agree(host, from_diffusers(*parts, prediction="eps" if kind == "EPS" else "v"))


def narrow(encoders: tuple[empty_text.TextEncoder, ...]) -> tuple[empty_text.TextEncoder, ...]:
    """The same at the width of the test node's."""
    size = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
    return tuple(replace(encoder, config={**encoder.config, **size}) for encoder in encoders)


@pytest.mark.parametrize(("kind", "encoders"), [("SD2", empty_text.SD2), ("SDXL", empty_text.SDXL)])
def test_the_empty_text_of_narrow_encoders(
    server: Server, tools: dict[str, Any], kind: str, encoders: tuple[empty_text.TextEncoder, ...]
) -> None:
    """Tokens, names of weights, which layer, its norm, and the pooled text."""
    graph, file = tools["Graph"](), f"text_{kind}.safetensors"
    graph.add("DMAPTestEmptyText", kind=kind, file=file)
    server.run(graph.prompt)
    host = load_file(server.base / "output" / file)
    found = empty_text.read(host, narrow(encoders), file)
    assert float((found.context - host["context"]).norm() / host["context"].norm()) < TOLERANCE
    if kind == "SDXL":
        assert found.pooled is not None
        assert float((found.pooled - host["pooled"]).norm() / host["pooled"].norm()) < TOLERANCE
    missing = {key: value for key, value in host.items() if "ln_final" not in key}
    with pytest.raises(ValueError, match=r"lacks final_layer_norm\.bias; choose a complete checkpoint"):
        empty_text.read(missing, narrow(encoders), file)


def test_the_command_takes_a_single_file_of_xl(
    server: Server, tools: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own text encoders read the empty text; nothing but the file is needed."""
    graph = tools["Graph"]()
    graph.add("DMAPTestEmptyText", kind="SDXL", file="texts.safetensors")
    loader = graph.add("DMAPTestTinyXL", kind="EPS", file="networks.safetensors")
    graph.add("DMAPTestFingerprint", model=(loader, 0), salt=0)
    server.run(graph.prompt)
    server.free()
    tensors: dict[str, Tensor] = {}
    for name in ("texts", "networks"):
        tensors |= load_file(server.base / "output" / f"{name}.safetensors")
    checkpoint, out = tmp_path / "whole.safetensors", tmp_path / "out.png"
    save_file({key: value for key, value in tensors.items() if key not in ("context", "pooled")}, checkpoint)
    monkeypatch.setitem(
        ARCHITECTURES, TINY_XL.unet["cross_attention_dim"], replace(TINY_XL, texts=narrow(empty_text.SDXL))
    )
    photograph = str(server.base / "input" / "tiny.png")
    trace = tmp_path / "trace.json"
    options = ["--checkpoint", str(checkpoint), "--steps", "1", "--iterations", "1", "--trace", str(trace)]
    assert main(["restore", photograph, str(out), *options]) == 0
    assert out.exists()
    rows = json.loads(trace.read_text(encoding="utf-8"))["rows"]
    assert rows[1]["objective"] != rows[0]["objective"]


@pytest.mark.slow
def test_sd15_at_full_size(server: Server, tools: dict[str, Any], sd15: str) -> None:
    """The empty text, too, comes from two implementations here."""
    host = {}
    for kind in ("eps", "v_prediction"):
        graph = tools["Graph"]()
        loader = graph.add("CheckpointLoaderSimple", ckpt_name=sd15)
        model = graph.add("ModelSamplingDiscrete", model=(loader, 0), sampling=kind, zsnr=False)
        text = graph.add("CLIPTextEncode", text="", clip=(loader, 1))
        host[kind] = answers(server, graph, (model, 0), (text, 0), (loader, 2), f"sd15_{kind}.safetensors")
    unet, vae, conditioning = load_single_file(Path(ROOT, ".cache", sd15))
    off = float((conditioning.context - host["eps"]["context"]).norm() / conditioning.context.norm())
    assert off < TOLERANCE
    for kind, prediction in (("eps", "eps"), ("v_prediction", "v")):
        agree(host[kind], from_diffusers(unet, vae, conditioning, prediction))
