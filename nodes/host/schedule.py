"""What of a MODEL and its CONDITIONING changes along the schedule, as a function of the noise level alone.

The host walks a schedule once, from noise to image, and some of its objects remember how far they are. Here the same
levels are asked for in any order, by inversion upwards, and again and again by an ascent and its backward pass.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ...dmap.errors import UserError

UNCOVERED = (
    "socket 'positive': at noise level {:.3g} no conditioning is active; with ConditioningSetTimestepRange let the "
    "ranges of all parts together reach from 0 to 1, or connect one without a range as well (Conditioning Combine)"
)
PARTLY = (
    "socket 'positive': at noise level {:.3g} {:.0%} of the picture has no conditioning, by areas, masks or a strength "
    "of 0; connect one for all of the picture as well (Conditioning Combine), or take these off"
)
GUIDANCE = ("sampler_cfg_function", "sampler_pre_cfg_function", "sampler_post_cfg_function")
"""Options of a MODEL under which patches of the guidance lie."""


def settle(conditioning: Sequence[dict[str, Any]], patcher: Any, levels: Tensor, shape: Sequence[int]) -> None:
    """Put all hooks where they belong at a noise level, whatever was asked before.

    Args:
        conditioning: as the host has prepared it for sampling.
        patcher: of the model, whose weights hooks change.
        levels: (B,) noise levels, all the same.
        shape: of the latent as the host has it.

    Raises:
        UserError: if no conditioning is active there, or none of a part of the picture: the host would take 0 for what
            the model says.
    """
    active = [one for one in conditioning if _active(one, levels[0])]
    if not active:
        raise UserError(UNCOVERED.format(float(levels[0])))
    left_out = _left_out(active, tuple(shape))
    if left_out > 0:
        raise UserError(PARTLY.format(float(levels[0]), left_out))
    changed = []
    for one in conditioning:
        if one.get("hooks") is None:
            continue
        for hook in one["hooks"].hooks:
            if _put(hook.hook_keyframe, levels[0]):
                changed.append(hook)
    # As the host does when a keyframe's turn comes: what was made with another strength is thrown away.
    for group in [made for made in patcher.cached_hook_patches if any(made.contains(hook) for hook in changed)]:
        patcher.cached_hook_patches.pop(group)
    if patcher.current_hooks is not None and any(patcher.current_hooks.contains(hook) for hook in changed):
        patcher.patch_hooks(None)


def _active(conditioning: dict[str, Any], level: Tensor) -> bool:
    """Whether the host takes a conditioning into account at a noise level."""
    start, end = conditioning.get("timestep_start"), conditioning.get("timestep_end")
    return not (start is not None and level > start) and not (end is not None and level < end)


def _left_out(conditioning: Sequence[dict[str, Any]], shape: tuple[int, ...]) -> float:
    """Share of a latent of a shape that no conditioning is for; by areas and masks as the host has prepared them."""
    batch, size = shape[0], shape[2:]
    covered = torch.zeros(1, *size)
    for one in conditioning:
        strength, area, mask = float(one.get("strength", 1.0)), one.get("area"), one.get("mask")
        if "default" in one or (strength > 0 and area is None and mask is None):
            return 0.0
        weight = torch.ones(1, *size) if mask is None else mask[:batch].detach().float().cpu()
        if weight.shape[1:] != size or (area is not None and len(area) != 2 * len(size)):
            return 0.0  # of a kind that is not known here: left to the host
        window: tuple[slice, ...] = ()
        if area is not None:
            extents, starts = area[: len(size)], area[len(size) :]
            if any(start >= side for start, side in zip(starts, size, strict=True)):
                raise UserError("socket 'positive': the area of a conditioning lies outside of the picture; move it")
            window = tuple(slice(start, start + extent) for start, extent in zip(starts, extents, strict=True))
        part = torch.zeros_like(weight)
        part[(slice(None), *window)] = weight[(slice(None), *window)] * strength * float(one.get("mask_strength", 1.0))
        covered = covered + part
    return float((covered <= 0).float().mean())


def patches(model: Any) -> list[str]:
    """Which nodes the patches of a MODEL come from, see ``origin``."""
    found: set[str] = set()
    todo = [model.model_options, getattr(model, "wrappers", {}), getattr(model, "object_patches", {})]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list | tuple):
            todo += one
        elif callable(one):
            found.add(origin(one))
    return sorted(found)


def _put(keyframes: Any, level: Tensor) -> bool:
    """Make the keyframe of a noise level the current one; whether it was another one before."""
    if keyframes.is_empty():
        return False
    # By its level alone: steps that a keyframe is to last at least have no meaning in another order.
    reached = [index for index, one in enumerate(keyframes.keyframes) if one.start_t >= level]
    index = max(reached, default=0)
    found = keyframes.keyframes[index]
    before = keyframes._current_keyframe
    keyframes._current_index, keyframes._current_keyframe = index, found
    keyframes._current_strength, keyframes._current_used_steps = found.strength, 0
    keyframes._curr_t = level  # the host then leaves it as it is
    return before is not found


@contextlib.contextmanager
def named_guidance(options: dict[str, Any]) -> Iterator[None]:
    """Name the patches of the guidance that cannot work without any, such as self-attention guidance."""
    try:
        yield
    except (AttributeError, TypeError, IndexError, KeyError, ValueError) as error:
        found = [options[name] for name in GUIDANCE if options.get(name)]
        patches = [one for each in found for one in (each if isinstance(each, list) else [each])]
        names = sorted({origin(one) for one in patches})
        if not names or isinstance(error, UserError):
            raise
        raise UserError(
            f"socket 'model': a patch of its guidance ({', '.join(names)}) fails, since guidance is always 1 here "
            f"({error}); connect the model without it"
        ) from error


def origin(patch: Any) -> str:
    """Which node a patch comes from, such as nodes_sag.SelfAttentionGuidance: its methods' objects say so."""
    made = patch if hasattr(patch, "__qualname__") else type(patch)
    module = re.split(r"[./\\]", str(made.__module__))[-1]  # the host calls the modules of nodes after their files
    return f"{module}.{made.__qualname__.partition('.')[0]}"
