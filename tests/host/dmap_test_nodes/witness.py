"""What the pack asks of the host: calls of the model, and memory."""

from __future__ import annotations

import json
from typing import Any

import comfy.model_management
import torch
from comfy_api.latest import io, ui

calls: list[dict[str, Any]] = []
requests: list[int] = []


class Witness(io.ComfyNode):
    """A MODEL whose calls are written down, as are requests for memory from now on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestWitness", inputs=[io.Model.Input("model")], outputs=[io.Model.Output("witnessed")]
        )

    @classmethod
    def execute(cls, model: Any) -> io.NodeOutput:
        calls.clear()
        requests.clear()

        def wrapper(apply: Any, options: dict[str, Any]) -> torch.Tensor:
            sort = ["no gradient", "gradient"][torch.is_grad_enabled()]
            calls.append({"batch": len(options["input"]), "conds": options["cond_or_uncond"], "sort": sort})
            result: torch.Tensor = apply(options["input"], options["timestep"], **options["c"])
            return result

        witnessed = model.clone()
        witnessed.set_model_unet_function_wrapper(wrapper)
        free = comfy.model_management.free_memory
        if not hasattr(free, "witnessed"):

            def recorded(wanted: float, *others: Any, **more: Any) -> Any:
                requests.append(int(wanted))
                return free(wanted, *others, **more)

            recorded.witnessed = True  # type: ignore[attr-defined]
            comfy.model_management.free_memory = recorded
        return io.NodeOutput(witnessed)


class Testimony(io.ComfyNode):
    """What was written down."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestTestimony", inputs=[io.AnyType.Input("after")], outputs=[], is_output_node=True
        )

    @classmethod
    def execute(cls, after: Any) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewText(json.dumps({"calls": calls, "requests": requests})))
