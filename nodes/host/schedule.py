"""What of a MODEL and its CONDITIONING changes along the schedule, as a function of the noise level alone.

The host walks a schedule once, from noise to image, and some of its objects remember how far they are. Here the same
levels are asked for in any order, by inversion upwards, and again and again by an ascent and its backward pass.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from ...dmap.errors import UserError

UNCOVERED = (
    "socket 'positive': at noise level {:.3g} no conditioning is active; with ConditioningSetTimestepRange let the "
    "ranges of all parts together reach from 0 to 1, or connect one without a range as well (Conditioning Combine)"
)
GUIDANCE = ("sampler_cfg_function", "sampler_pre_cfg_function", "sampler_post_cfg_function")
"""Options of a MODEL under which patches of the guidance lie."""


def settle(conditioning: Sequence[dict[str, Any]], patcher: Any, levels: Tensor) -> None:
    """Put all hooks where they belong at a noise level, whatever was asked before.

    Args:
        conditioning: as the host has prepared it for sampling.
        patcher: of the model, whose weights hooks change.
        levels: (B,) noise levels, all the same.

    Raises:
        UserError: if no conditioning is active there: the host would take 0 for what the model says.
    """
    if not any(_active(one, levels[0]) for one in conditioning):
        raise UserError(UNCOVERED.format(float(levels[0])))
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
    module = re.split(r"[./\\]", made.__module__)[-1]  # the host calls the modules of nodes after their files
    return f"{module}.{made.__qualname__.partition('.')[0]}"
