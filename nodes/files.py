"""DMAP Save Path and DMAP Load Path: to go on another day."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..dmap.path import Path
from .host import checks, files, images, session
from .schema import schema
from .sockets import PathSocket


class DMAPSavePath(io.ComfyNode):
    """Writes a path into the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPSavePath",
            display_name="DMAP Save Path",
            search_aliases=["checkpoint", "continue later"],
            description="Saves a path as safetensors in the output folder, so that an ascent can be continued later.",
            inputs=[
                PathSocket.Input("path", tooltip="Of DMAP Optimize, or of DMAP Invert."),
                io.String.Input(
                    "filename_prefix",
                    default="DMAP_path",
                    tooltip="Beginning of the file's name, subfolders allowed.",
                ),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, path: session.HostPath, filename_prefix: str) -> io.NodeOutput:
        file = files.new_output_file(filename_prefix)
        path.path.save(file)
        return io.NodeOutput(ui=ui.PreviewText(f"saved as {file.name}"))


class DMAPLoadPath(io.ComfyNode):
    """Reads a path that DMAP Save Path wrote."""

    NAME = "DMAP Load Path"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPLoadPath",
            display_name=cls.NAME,
            search_aliases=["resume", "continue"],
            description="Loads a path saved before, to continue its ascent with DMAP Optimize or to decode it. Connect "
            "the model and conditioning that it was made with.",
            inputs=[
                io.Combo.Input("file", options=files.saved_files(), tooltip="A path in the output or input folder."),
                io.Model.Input("model", tooltip="The diffusion model that inverted the photograph."),
                io.Conditioning.Input("positive", tooltip="The conditioning it was inverted with."),
            ],
            outputs=[PathSocket.Output("path", display_name="path", tooltip="For DMAP Optimize or DMAP Decode.")],
        )

    @classmethod
    def execute(cls, file: str, model: Any, positive: list[Any]) -> io.NodeOutput:
        table = checks.noise_table(model, cls.NAME)
        checks.check_conditioning(model, positive, cls.NAME)
        with images.named_errors(cls.NAME), torch.inference_mode(False):  # an ascent needs ordinary tensors
            path = Path.load(files.find(file))
        wanted = model.model.latent_format.latent_channels
        if path.latent.shape[1] != wanted or float(path.schedule.sigmas[0]) > float(table[-1]) * 1.001:
            raise ValueError(
                f"{cls.NAME}, socket 'model': the path has {path.latent.shape[1]} channels and noise up to "
                f"{float(path.schedule.sigmas[0]):.3g}, the model {wanted} and {float(table[-1]):.3g}; connect the "
                "model that made the path"
            )
        return io.NodeOutput(session.HostPath(path, model, positive))
