"""DMAP Save Path and DMAP Load Path: to go on another day."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..dmap.errors import UserError
from ..dmap.method.path import LatentPath
from ..dmap.output import keep
from .host import checks, families, features, files, images, picture, session
from .invert import round_trip
from .schema import Node, listed, never_raises, schema, widget
from .sockets import PathSocket


class DMAPSavePath(Node):
    """Writes a path into the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPSavePath",
            display_name="DMAP Save Path",
            search_aliases=["checkpoint", "continue later"],
            description="Saves a path as safetensors in the output folder, with its photograph and masks, so that an "
            "ascent can be continued later.",
            inputs=[
                PathSocket.Input("path", tooltip="A path from DMAP Optimize or DMAP Invert."),
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
        with images.named_errors("DMAP Save Path"):
            file = files.new_output_file(filename_prefix)
        said: list[str] = []
        place = keep(path.path.save, file, said.append)
        return io.NodeOutput(ui=ui.PreviewText(said[0] if said else f"saved as {place.name}"))


class DMAPLoadPath(Node):
    """Reads a path that DMAP Save Path wrote."""

    NAME = "DMAP Load Path"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPLoadPath",
            display_name=cls.NAME,
            search_aliases=["resume", "continue"],
            description="Loads a path saved before, to continue its ascent with DMAP Optimize or to decode it. Connect "
            "the model and conditioning that it was made with; others are refused.",
            inputs=[
                io.Combo.Input(
                    "file", options=listed(files.saved_files), tooltip="A path in the output or input folder."
                ),
                io.Model.Input("model", tooltip="The diffusion model that inverted the photograph."),
                io.Conditioning.Input("positive", tooltip="The conditioning it was inverted with."),
                widget(
                    "max_error",
                    optional=True,
                    tooltip="Refuse the path if sampling it with this model misses the photograph's latent by more "
                    "than this fraction of its root mean square: then another model made it.",
                ),
            ],
            outputs=[
                PathSocket.Output("path", display_name="path", tooltip="The path, for DMAP Optimize or DMAP Decode.")
            ],
        )

    @classmethod
    @never_raises(0.0)
    def fingerprint_inputs(cls, file: str = "", **_: Any) -> float:
        """Changes when the file is written anew under its old name."""
        return files.written(file)

    @classmethod
    def execute(cls, file: str, model: Any, positive: list[Any], max_error: float = 0.05) -> io.NodeOutput:
        checks.check_model(model, cls.NAME)
        checks.check_conditioning(model, positive, cls.NAME)
        with images.named_errors(cls.NAME), torch.inference_mode(False):  # an ascent needs ordinary tensors
            path = LatentPath.load(files.find(file))
            picture.check_photograph(path, features.pixels_per_position(model))
        table = families.levels(model)
        assert table is not None
        path_has = _facts(path.latent.shape[1], path.schedule.flow, float(path.schedule.sigmas[0]))
        form, flow = model.model.latent_format, families.is_flow(model)
        fits = path.latent.shape[1] == form.latent_channels and path.schedule.flow == flow
        if not fits or float(path.schedule.sigmas[0]) > float(table[-1]) * 1.001:
            raise UserError(
                f"{cls.NAME}, socket 'model': the path has {path_has}, the model "
                f"{_facts(form.latent_channels, flow, float(table[-1]))}; connect the model that made the path"
            )
        found = session.HostPath(path, model, positive)
        off = round_trip(found, cls.NAME)
        if not off <= max_error:
            raise UserError(
                f"{cls.NAME}, max_error: with this model and conditioning the path misses its photograph's latent by "
                f"{off:.2g} of its size, more than max_error = {max_error:g}; connect the model, LoRAs and "
                "conditioning that made the path, or raise it"
            )
        return io.NodeOutput(found, ui=ui.PreviewText(f"round-trip error {off:.1e}"))


def _facts(channels: int, flow: bool, noise: float) -> str:
    return f"{channels} channels and {'times of a flow' if flow else 'noise'} up to {noise:.3g}"
