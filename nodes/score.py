"""DMAP Score Images: what the quality models say of images, before and after."""

from __future__ import annotations

import json
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..dmap.errors import UserError
from ..dmap.image.plot import plot_scores
from .host import images, models, session
from .schema import Node, schema
from .sockets import PriorSocket

NODE = "DMAP Score Images"
MOST = 4


class DMAPScoreImages(Node):
    """Scores a batch by several quality models."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPScoreImages",
            display_name=NODE,
            description="Scores images by up to four quality models (0 to 100, higher is better). Connect the "
            "photograph as well to see the difference, and the prior that was climbed to see which were not optimised.",
            search_aliases=["IQA", "image quality", "judge", "metrics"],
            inputs=[
                io.Image.Input("image", tooltip="The images to score, such as the restored ones."),
                *[
                    PriorSocket.Input(f"prior_{index}", optional=index > 1, tooltip="A quality model that judges.")
                    for index in range(1, MOST + 1)
                ],
                io.Image.Input(
                    "before",
                    optional=True,
                    tooltip="The images before restoration: as many as in image, or one for all.",
                ),
                PriorSocket.Input(
                    "optimised",
                    optional=True,
                    tooltip="The prior that was climbed: judges that share a network with it are marked as optimised, "
                    "the others as not optimised.",
                ),
                io.String.Input(
                    "judges",
                    default="",
                    optional=True,
                    tooltip="Further judges by name, with commas between, such as pyiqa:piqe, pyiqa:niqe; also models "
                    "that cannot be climbed. Nothing is downloaded.",
                ),
            ],
            outputs=[
                io.String.Output("table", display_name="table", tooltip="The scores as JSON."),
                io.Image.Output("plot", display_name="plot", tooltip="The scores as a picture, 960 px wide."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        prior_1: session.HostPrior,
        before: torch.Tensor | None = None,
        optimised: session.HostPrior | None = None,
        judges: str = "",
        **others: session.HostPrior | None,
    ) -> io.NodeOutput:
        panel = [prior_1, *(prior for index in range(2, MOST + 1) if (prior := others.get(f"prior_{index}")))]
        with images.named_errors(f"{NODE}, judges"):
            panel += [models.load_prior_patchers(name.strip()) for name in judges.split(",") if name.strip()]
        after = images.from_image_socket(image, NODE, "image")
        start = None if before is None else images.from_image_socket(before, NODE, "before")
        if start is not None and len(start) not in (1, len(after)):
            raise UserError(
                f"{NODE}, socket 'before': a batch of {len(start)}, but image holds {len(after)}; connect as many"
            )
        climbed = None if optimised is None else {part.name for part in optimised.networks()}
        rows = []
        for judge in panel:
            with images.named_errors(NODE):
                row: dict[str, Any] = {
                    "judge": judge.prior.info.name,
                    # None: nobody said what was climbed.
                    "optimised": None if climbed is None else any(part.name in climbed for part in judge.networks()),
                    "guides": judge.prior.info.guides,
                    "after": session.score(judge, after),
                }
                if start is not None:
                    row["before"] = session.score(judge, start) * (len(after) // len(start))
                    row["difference"] = [last - first for first, last in zip(row["before"], row["after"], strict=True)]
            row["mean"] = {
                key: sum(row[key]) / len(row[key]) for key in ("before", "after", "difference") if key in row
            }
            rows.append(row)
        text = json.dumps(rows, indent=1)
        lines = [_line(row) for row in rows]
        return io.NodeOutput(text, images.to_image_socket(plot_scores(rows)), ui=ui.PreviewText("\n".join(lines)))


def _line(row: dict[str, Any]) -> str:
    mark, mean = {None: "", False: " (not optimised)", True: " (optimised)"}[row["optimised"]], row["mean"]
    if row["guides"]:
        mark += " (made for its gradient: no measure of quality)"
    if "before" not in mean:
        return f"{row['judge']}{mark}: {mean['after']:.1f}"
    return f"{row['judge']}{mark}: {mean['before']:.1f} -> {mean['after']:.1f} ({mean['difference']:+.1f})"
