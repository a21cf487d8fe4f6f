"""The host's text encoders of Stable Diffusion 2 and XL, narrow and with random weights, in a checkpoint's names."""

from __future__ import annotations

import math
import os

import comfy.sdxl_clip
import comfy.supported_models
import comfy.text_encoders.sd2_clip
import folder_paths
import torch
from comfy_api.latest import io, ui
from safetensors.torch import save_file

NARROW = {"num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 128}
"""A text encoder's, in the words of the host's configuration files."""


def open_clip_weights(seed: int) -> dict[str, torch.Tensor]:
    """Random ones of a text encoder of that size, named as checkpoints name them."""
    width, generator, found = NARROW["hidden_size"], torch.Generator().manual_seed(seed), {}

    def add(name: str, *shape: int) -> None:
        noise = torch.randn(shape, generator=generator)
        found[name] = 1 + 0.1 * noise if "ln_" in name and "weight" in name else noise / math.sqrt(shape[-1])

    add("positional_embedding", 77, width)
    add("token_embedding.weight", 49408, width)
    add("text_projection", width, width)
    blocks = [f"transformer.resblocks.{index}." for index in range(NARROW["num_hidden_layers"])]
    for name in ("ln_final.", *(block + norm for block in blocks for norm in ("ln_1.", "ln_2."))):
        add(f"{name}weight", width)
        add(f"{name}bias", width)
    for block in blocks:
        add(f"{block}attn.in_proj_weight", 3 * width, width)
        add(f"{block}attn.in_proj_bias", 3 * width)
        for name, out, into in (
            ("attn.out_proj", 1, 1),
            ("mlp.c_fc", 4, 1),
            ("mlp.c_proj", 1, 4),
        ):
            add(f"{block}{name}.weight", out * width, into * width)
            add(f"{block}{name}.bias", out * width)
    return found


class EmptyText(io.ComfyNode):
    """What the host's narrow text encoders of Stable Diffusion 2 or XL make of the empty text; also their weights."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestEmptyText",
            inputs=[io.Combo.Input("kind", options=["SD2", "SDXL"]), io.String.Input("file")],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    @torch.no_grad()
    def execute(cls, kind: str, file: str) -> io.NodeOutput:
        options = {f"{name}_model_config": NARROW for name in ("clip_h", "clip_l", "clip_g")}
        if kind == "SD2":
            tensors = {f"cond_stage_model.model.{key}": value for key, value in open_clip_weights(0).items()}
            processed = comfy.supported_models.SD20({}).process_clip_state_dict(dict(tensors))
            tokens = comfy.text_encoders.sd2_clip.SD2Tokenizer().tokenize_with_weights("")
            encoder = comfy.text_encoders.sd2_clip.SD2ClipModel(model_options=options, dtype=torch.float32)
            parts = {"clip_h": encoder.clip_h}
        else:
            encoder = comfy.sdxl_clip.SDXLClipModel(model_options=options, dtype=torch.float32)
            generator = torch.Generator().manual_seed(1)
            for parameter in encoder.clip_l.parameters():
                parameter.normal_(
                    std=max(1, parameter.shape[-1] if parameter.ndim > 1 else 4) ** -0.5, generator=generator
                )
            tensors = {f"conditioner.embedders.1.model.{key}": value for key, value in open_clip_weights(2).items()}
            tensors |= {
                f"conditioner.embedders.0.transformer.{key}": value.detach().clone()
                for key, value in encoder.clip_l.transformer.state_dict().items()
                if key.startswith("text_model")
            }
            processed = comfy.supported_models.SDXL({}).process_clip_state_dict(dict(tensors))
            tokens = comfy.sdxl_clip.SDXLTokenizer().tokenize_with_weights("")
            parts = {"clip_g": encoder.clip_g}
        for name, part in parts.items():
            prefix = f"{name}.transformer."
            missing, _ = part.load_sd({k.removeprefix(prefix): v for k, v in processed.items() if k.startswith(prefix)})
            assert not missing, missing
        context, pooled = encoder.encode_token_weights(tokens)
        found = {**tensors, "context": context, "pooled": pooled}
        found = {key: value.clone().contiguous() for key, value in found.items()}
        save_file(found, os.path.join(folder_paths.get_output_directory(), file))
        return io.NodeOutput(ui=ui.PreviewText(file))
