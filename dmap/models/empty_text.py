"""What Stable Diffusion's text encoders make of the empty text, read from a single-file checkpoint.

Its token ids are known, so no tokenizer is needed. transformers is imported only here, when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError

BEGIN, END, LENGTH = 49406, 49407, 77


@dataclass(frozen=True)
class Conditioning:
    """What the U-Net is told: text (1, L, width), and for XL models the pooled text (1, width)."""

    context: Tensor
    pooled: Tensor | None = None


@dataclass(frozen=True)
class TextEncoder:
    """A CLIP text encoder in a checkpoint (Radford et al. 2021, arXiv:2103.00020).

    Attributes:
        prefixes: what its keys may begin with.
        config: in the words of transformers.
        open_clip: whether keys and fused weights are open_clip's instead of transformers'.
        padding: token id behind the text's end.
        penultimate: whether the last but one layer's output is the context, instead of the last one's, normed.
        normed: whether the final layer norm is applied to that too.
        pooled: whether the projected state at the text's end is wanted as well.
    """

    prefixes: tuple[str, ...]
    config: Mapping[str, Any]
    open_clip: bool = False
    padding: int = 0
    penultimate: bool = True
    normed: bool = False
    pooled: bool = False


def _clip(width: int, layers: int, heads: int, act: str = "gelu") -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "hidden_act": act,
        "eos_token_id": END,
    }


_VIT_L = _clip(768, 12, 12, "quick_gelu")
SD1 = (TextEncoder(("cond_stage_model.transformer.",), _VIT_L, padding=END, penultimate=False),)
SD2 = (
    TextEncoder(
        ("cond_stage_model.model.", "conditioner.embedders.0.model."), _clip(1024, 24, 16), open_clip=True, normed=True
    ),
)
SDXL = (
    TextEncoder(("conditioner.embedders.0.transformer.",), _VIT_L, padding=END),
    TextEncoder(("conditioner.embedders.1.model.",), _clip(1280, 32, 20), open_clip=True, pooled=True),
)

# open_clip -> transformers, for keys inside a block and around the blocks.
_RENAMED = (
    (r"^transformer\.resblocks\.(\d+)\.ln_(\d)\.", r"encoder.layers.\1.layer_norm\2."),
    (r"^transformer\.resblocks\.(\d+)\.attn\.out_proj\.", r"encoder.layers.\1.self_attn.out_proj."),
    (r"^transformer\.resblocks\.(\d+)\.mlp\.c_fc\.", r"encoder.layers.\1.mlp.fc1."),
    (r"^transformer\.resblocks\.(\d+)\.mlp\.c_proj\.", r"encoder.layers.\1.mlp.fc2."),
    (r"^ln_final\.", "final_layer_norm."),
    (r"^token_embedding\.", "embeddings.token_embedding."),
    (r"^positional_embedding$", "embeddings.position_embedding.weight"),
)
_FUSED = re.compile(r"^transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$")


def read(tensors: Mapping[str, Tensor], encoders: tuple[TextEncoder, ...], name: str) -> Conditioning:
    """The conditioning of the empty text.

    Args:
        tensors: of the checkpoint.
        encoders: its text encoders; their contexts are joined.
        name: of the checkpoint, for errors.

    Raises:
        UserError: if an encoder is not in the checkpoint, or not all of it.
    """
    found = [_read(tensors, encoder, name) for encoder in encoders]
    pooled = next((one.pooled for one in found if one.pooled is not None), None)
    return Conditioning(torch.cat([one.context for one in found], dim=-1), pooled)


def _read(tensors: Mapping[str, Tensor], encoder: TextEncoder, name: str) -> Conditioning:
    from transformers import CLIPTextConfig, CLIPTextModel

    prefix = next((p for p in encoder.prefixes if any(key.startswith(p) for key in tensors)), encoder.prefixes[0])
    given = {key.removeprefix(prefix): value.float() for key, value in tensors.items() if key.startswith(prefix)}
    weights = _renamed(given) if encoder.open_clip else {key.removeprefix("text_model."): x for key, x in given.items()}
    with torch.device("meta"):
        network: Any = CLIPTextModel(CLIPTextConfig(**encoder.config))
    # Newer versions of transformers have left out this part of the names.
    wanted = {key: key.removeprefix("text_model.") for key in network.state_dict() if not key.endswith("position_ids")}
    missing = sorted(set(wanted.values()) - weights.keys())
    if missing or (encoder.pooled and "text_projection" not in given):
        raise UserError(
            f"checkpoint {name}: its text encoder {prefix}* lacks {(missing or ['text_projection'])[0]}; choose a "
            "complete checkpoint"
        )
    network.load_state_dict({key: weights[short] for key, short in wanted.items()}, strict=False, assign=True)
    ids = torch.tensor([[BEGIN, END, *[encoder.padding] * (LENGTH - 2)]])
    with torch.no_grad():
        output = network.eval()(ids, position_ids=torch.arange(LENGTH)[None], output_hidden_states=True)
        hidden: Tensor = output.hidden_states[-2] if encoder.penultimate else output.last_hidden_state
        if encoder.penultimate and encoder.normed:
            norm = weights["final_layer_norm.weight"], weights["final_layer_norm.bias"]
            hidden = nn.functional.layer_norm(hidden, hidden.shape[-1:], *norm)
        pooled = output.last_hidden_state[:, 1] @ given["text_projection"] if encoder.pooled else None
    return Conditioning(hidden.clone(), pooled)


def _renamed(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """open_clip's tensors under transformers' names."""
    found: dict[str, Tensor] = {}
    for key, value in given.items():
        fused = _FUSED.match(key)
        if fused is not None:
            for which, part in zip("qkv", value.chunk(3), strict=True):
                found[f"encoder.layers.{fused[1]}.self_attn.{which}_proj.{fused[2]}"] = part
            continue
        for pattern, replacement in _RENAMED:
            key = re.sub(pattern, replacement, key)
        found[key] = value
    return found
