"""From a workflow as the browser saves it to a prompt as the server takes it, so that there is one source of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
ONLY_ON_CANVAS = {"Note", "MarkdownNote", "Reroute", "PrimitiveNode"}
MUTED, BYPASSED = 2, 4


def load(file: Path) -> dict[str, Any]:
    """A saved workflow."""
    workflow: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return workflow


def widget_names(definition: dict[str, Any]) -> list[str | None]:
    """A node's widgets in the order of ``widgets_values``; None for values that only the browser uses."""
    names: list[str | None] = []
    for group in ("required", "optional"):
        for name, spec in definition["input"].get(group, {}).items():
            kind, options = spec[0], spec[1] if len(spec) > 1 else {}
            if not isinstance(kind, list) and kind not in WIDGETS:
                continue
            if options.get("forceInput"):
                continue
            names.append(name)
            if options.get("control_after_generate") or (kind == "INT" and name in ("seed", "noise_seed")):
                names.append(None)
            if options.get("image_upload"):
                names.append(None)
    return names


def to_prompt(
    workflow: dict[str, Any], definitions: dict[str, Any], overrides: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A prompt in API form.

    Args:
        workflow: as the browser saves it.
        definitions: the server's /object_info.
        overrides: input values by node type, such as {"DMAPOptimize": {"iterations": 2}}.

    Raises:
        ValueError: for a node that the server does not know, muted or bypassed nodes, or an override that fits none.
    """
    overrides = overrides or {}
    links = {link[0]: link for link in workflow["links"]}
    prompt: dict[str, Any] = {}
    used = set()
    for node in workflow["nodes"]:
        kind = node["type"]
        if kind in ONLY_ON_CANVAS:
            continue
        if node.get("mode") in (MUTED, BYPASSED):
            raise ValueError(f"node {node['id']} ({kind}) is muted or bypassed; the shipped workflows have none")
        if kind not in definitions:
            raise ValueError(f"node {node['id']}: the server knows no node {kind!r}")
        names = widget_names(definitions[kind])
        values = node.get("widgets_values") or []
        inputs = {name: value for name, value in zip(names, values, strict=False) if name is not None}
        for socket in node.get("inputs", []):
            if socket.get("link") is not None:
                _, source, slot, *_ = links[socket["link"]]
                inputs[socket["name"]] = [str(source), slot]
        for name, value in overrides.get(kind, {}).items():
            if name not in inputs:
                raise ValueError(f"override: node {kind} has no input {name!r}; it has {', '.join(inputs)}")
            inputs[name] = value
            used.add(kind)
        prompt[str(node["id"])] = {"class_type": kind, "inputs": inputs, "_meta": {"title": node.get("title", kind)}}
    unused = set(overrides) - used
    if unused:
        raise ValueError(f"override: the workflow has no node {', '.join(sorted(unused))}")
    return prompt


def nodes_of(prompt: dict[str, Any], kind: str) -> list[str]:
    """Ids of the prompt's nodes of one type."""
    return [key for key, node in prompt.items() if node["class_type"] == kind]
