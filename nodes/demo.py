"""DMAP Load Demo Models: the small models that the pack ships."""

from __future__ import annotations

from comfy_api.latest import io

from .host import models
from .schema import Node, schema


class DMAPLoadDemoModels(Node):
    """Loads the shipped denoiser and autoencoder as the host's own objects."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPLoadDemoModels",
            display_name="DMAP Load Demo Models",
            search_aliases=["demo checkpoint"],
            description="A small latent diffusion model and autoencoder, trained for this pack on free photographs. "
            "They need no download and little memory; for best results use a Stable Diffusion checkpoint.",
            inputs=[],
            outputs=[
                io.Model.Output(
                    "model",
                    display_name="model",
                    tooltip="Latent denoiser, v-prediction, 8 channels, 4x smaller than the image.",
                ),
                io.Conditioning.Output(
                    "positive", display_name="positive", tooltip="Empty conditioning; the demo model knows no text."
                ),
                io.Vae.Output("vae", display_name="vae", tooltip="The autoencoder that belongs to the model."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*models.load_demo_models())
