"""From a workflow as the browser saves it to a prompt as the server takes it, so that there is one source of both."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

SUBGRAPH_INPUT, SUBGRAPH_OUTPUT = -10, -20
SLIDER = "ImageCompare"
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


def flat(workflow: dict[str, Any]) -> dict[str, Any]:
    """The workflow with its subgraphs' nodes in place of the subgraphs, as the browser sends it.

    A node of a subgraph is called "4:7": node 7 of what node 4 stands for. What the instance's widgets say reaches the
    inner widgets that they stand for.
    """
    known = {graph["id"]: graph for graph in workflow.get("definitions", {}).get("subgraphs", [])}
    nodes, links = list(workflow["nodes"]), [list(link) for link in workflow["links"]]
    while instance := next((node for node in nodes if node["type"] in known), None):
        graph, prefix = known[instance["type"]], f"{instance['id']}:"
        nodes.remove(instance)
        inner = {node["id"]: {**copy.deepcopy(node), "id": f"{prefix}{node['id']}"} for node in graph["nodes"]}
        outside = {socket["name"]: socket.get("link") for socket in instance["inputs"]}
        named = [socket["name"] for socket in instance["inputs"] if "widget" in socket]
        values = dict(zip(named, instance.get("widgets_values") or [], strict=False))
        sources: dict[int, list[Any]] = {}
        for link in graph["links"]:
            source, slot, target = link["origin_id"], link["origin_slot"], link["target_id"]
            if target == SUBGRAPH_OUTPUT:
                sources[link["target_slot"]] = [f"{prefix}{source}", slot]
                continue
            socket = inner[target]["inputs"][link["target_slot"]]
            socket["link"] = None
            if source != SUBGRAPH_INPUT:
                socket["link"] = f"{prefix}{link['id']}"
                links.append([socket["link"], f"{prefix}{source}", slot, f"{prefix}{target}", 0, link["type"]])
                continue
            name = graph["inputs"][slot]["name"]
            if outside[name] is not None:
                socket["link"] = outside[name]
            elif name in values:
                inner[target].setdefault("promoted", {})[socket["name"]] = values[name]
        for link in links:
            if link[1] == instance["id"]:
                link[1:3] = sources[link[2]]
        nodes += inner.values()
    return {**workflow, "nodes": nodes, "links": links}


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
    workflow = flat(workflow)
    links = {link[0]: link for link in workflow["links"]}
    prompt: dict[str, Any] = {}
    used = set()
    for node in workflow["nodes"]:
        kind = node["type"]
        if kind in ONLY_ON_CANVAS:
            continue
        if node.get("mode") in (MUTED, BYPASSED):
            raise ValueError(f"node {node['id']} ({kind}) is muted or bypassed; the shipped workflows have none")
        if kind == SLIDER:
            prompt |= _before_and_after(node, workflow, definitions)
            continue
        if kind not in definitions:
            raise ValueError(f"node {node['id']}: the server knows no node {kind!r}")
        names = widget_names(definitions[kind])
        values = node.get("widgets_values") or []
        inputs = {name: value for name, value in zip(names, values, strict=False) if name is not None}
        for socket in node.get("inputs", []):
            if socket.get("link") is not None:
                _, source, slot, *_ = links[socket["link"]]
                inputs[socket["name"]] = [str(source), slot]
        inputs |= node.get("promoted", {})
        if "preset" in node.get("promoted", {}):
            inputs = {
                name: value for name, value in inputs.items() if not _left_to_preset(definitions[kind], name, value)
            }
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


def _left_to_preset(definition: dict[str, Any], name: str, value: Any) -> bool:
    """Whether web/presets.js leaves a value out, since the preset comes from outside and nobody has set the widget."""
    optional = definition["input"].get("optional", {})
    named = {key for values in optional["preset"][1]["dmap_presets"].values() for key in values}
    return name in named and name in optional and bool(value == optional[name][1].get("default"))


def _before_and_after(node: dict[str, Any], workflow: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The host's slider, or where it has none previews of what no other node shows, as web/compare.js does."""
    kinds = {one["id"]: one["type"] for one in workflow["nodes"]}
    links = {link[0]: link for link in workflow["links"]}
    pictures = {socket["name"]: links[socket["link"]] for socket in node["inputs"] if socket.get("link") is not None}
    if SLIDER in definitions:
        inputs: dict[str, Any] = {name: [str(link[1]), link[2]] for name, link in pictures.items()}
        inputs["compare_view"] = {"__value__": ["", ""]}
        return {str(node["id"]): {"class_type": SLIDER, "inputs": inputs, "_meta": {"title": node["title"]}}}
    shown = {tuple(link[1:3]) for link in workflow["links"] if kinds.get(link[3]) in ("PreviewImage", "SaveImage")}
    return {
        f"{node['id']}:{name}": {
            "class_type": "PreviewImage",
            "inputs": {"images": [str(link[1]), link[2]]},
            "_meta": {"title": {"image_a": "Before", "image_b": "After"}[name]},
        }
        for name, link in pictures.items()
        if tuple(link[1:3]) not in shown
    }


def nodes_of(prompt: dict[str, Any], kind: str) -> list[str]:
    """Ids of the prompt's nodes of one type."""
    return [key for key, node in prompt.items() if node["class_type"] == kind]
