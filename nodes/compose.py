"""DMAP Mix Priors, DMAP Multi-Scale Prior and DMAP Robust Prior: priors made of priors."""

from __future__ import annotations

from comfy_api.latest import io

from ..dmap.errors import UserError, repeated
from ..dmap.priors.compose import MixedPrior, MultiScalePrior, RobustPrior
from .host.images import named_errors
from .host.session import HostPrior
from .schema import Node, schema
from .sockets import PriorSocket

CATEGORY = "DMAP/priors"
MOST = 4


def _output() -> io.Output:
    return PriorSocket.Output(
        "mixed", display_name="prior", tooltip="A prior like any other: for DMAP Optimize, or to be mixed further."
    )


class DMAPMixPriors(Node):
    """Several priors as one."""

    NAME = "DMAP Mix Priors"

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs: list[io.Input] = [
            io.Combo.Input(
                "mode",
                options=list(MixedPrior.MODES),
                default="mean",
                tooltip="mean: the weighted mean of the scores, the paper's hybrid. softmin: the weakest score counts "
                "most, so that none is raised at another's cost.",
            )
        ]
        for index in range(1, MOST + 1):
            inputs.append(PriorSocket.Input(f"prior_{index}", optional=index > 2, tooltip="A quality model, 0 to 100."))
        for index in range(1, MOST + 1):
            inputs.append(
                io.Float.Input(
                    f"weight_{index}",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.05,
                    tooltip=f"Share of prior_{index}; only the ratio of the weights matters.",
                )
            )
        return schema(
            node_id="DMAPMixPriors",
            display_name=cls.NAME,
            category=CATEGORY,
            description="Makes one prior of two to four. Their scores are on one scale (0 to 100, higher is better).",
            search_aliases=["hybrid prior", "combine quality models", "ensemble"],
            inputs=inputs,
            outputs=[_output()],
        )

    @classmethod
    def execute(cls, mode: str, prior_1: HostPrior, prior_2: HostPrior, **others: HostPrior | float) -> io.NodeOutput:
        priors = {1: prior_1, 2: prior_2}
        for index in range(3, MOST + 1):
            prior = others.get(f"prior_{index}")
            if isinstance(prior, HostPrior):
                priors[index] = prior
        weights = [float(others[f"weight_{index}"]) for index in priors]  # type: ignore[arg-type]
        with named_errors(cls.NAME):
            mixed = MixedPrior([prior.prior for prior in priors.values()], weights, mode)
        return io.NodeOutput(HostPrior.of(mixed, *priors.values()))


class DMAPMultiScalePrior(Node):
    """One prior at several sizes of the image."""

    NAME = "DMAP Multi-Scale Prior"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPMultiScalePrior",
            display_name=cls.NAME,
            category=CATEGORY,
            description="The mean of a quality model's scores at several sizes; LIQE at 1 and 0.75 is the paper's "
            "MS-LIQE.",
            search_aliases=["MS-LIQE", "multiscale"],
            inputs=[
                PriorSocket.Input("prior", tooltip="The quality model."),
                io.String.Input(
                    "scales",
                    default="1, 0.75",
                    tooltip="Factors on the image's sides, in (0, 1], with commas between. Each costs one scoring.",
                ),
            ],
            outputs=[_output()],
        )

    @classmethod
    def execute(cls, prior: HostPrior, scales: str) -> io.NodeOutput:
        with named_errors(cls.NAME):
            try:
                factors = [float(part) for part in scales.split(",") if part.strip()]
            except ValueError as error:
                raise UserError(
                    f"scales: got {repeated(scales)}; write numbers with commas between, such as 1, 0.75"
                ) from error
            return io.NodeOutput(HostPrior.of(MultiScalePrior(prior.prior, factors), prior))


class DMAPRobustPrior(Node):
    """One prior averaged over small changes of the image."""

    NAME = "DMAP Robust Prior"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPRobustPrior",
            display_name=cls.NAME,
            category=CATEGORY,
            description="The mean of a quality model's scores over shifted and slightly noisy views, so that textures "
            "which please the model only by accident do not pay.",
            search_aliases=["adversarial", "harden prior"],
            inputs=[
                PriorSocket.Input("prior", tooltip="The quality model."),
                io.Int.Input(
                    "views",
                    default=2,
                    min=1,
                    max=64,
                    tooltip="How many changed copies to score; the cost grows with it.",
                ),
                io.Int.Input("shift", default=8, min=0, max=64, tooltip="Largest shift of a view, in pixels."),
                io.Float.Input(
                    "noise",
                    default=0.01,
                    min=0.0,
                    max=0.2,
                    step=0.002,
                    round=False,
                    tooltip="Standard deviation of the added noise, on a scale of 0 to 1; 0.01 is 2.5 of 255. More "
                    "noise makes the model harder to fool, but blinder to blur and JPEG: 0.002 keeps their order.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    tooltip="Fixes places and noise: the same seed gives the same score.",
                ),
            ],
            outputs=[_output()],
        )

    @classmethod
    def execute(cls, prior: HostPrior, views: int, shift: int, noise: float, seed: int) -> io.NodeOutput:
        with named_errors(cls.NAME):
            return io.NodeOutput(HostPrior.of(RobustPrior(prior.prior, views, shift, noise, seed % 2**63), prior))
