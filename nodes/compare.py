"""DMAP Compare Priors: quality models, by the images that they lead to."""

from __future__ import annotations

import json
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..dmap.compare import parts, report, results
from ..dmap.compare.folder import Folder
from ..dmap.compare.plan import Plan
from ..dmap.compare.run import Comparison, Progress
from ..dmap.compare.sheet import contact_sheet, matrix
from ..dmap.compare.statistics import cross_scores
from ..dmap.compare.verdict import verdict
from ..dmap.errors import UserError, repeated
from ..dmap.output import check_new_folder
from .host import checks, engine, files, images, picture, session
from .priorlist import listed
from .schema import Node, schema, widget
from .sockets import PathSocket, PriorSocket, PriorsSocket

NODE = "DMAP Compare Priors"
MOST, JUDGES = 8, 4
"""Priors and judges with sockets of their own; lists take any number more."""
FIRST_PRIORS, FIRST_JUDGES = 4, 2
"""Those of the first version, whose sockets come before the others in saved workflows."""


class DMAPCompare(Node):
    """Climbs several priors from one start to one fidelity and shows what each leads to."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPComparePriors",
            display_name=NODE,
            search_aliases=["IQA comparison", "benchmark quality models", "which prior", "cross scores"],
            description="Restores each photograph once by every quality model: one start, one budget, one rule, and "
            "for each model the prior weight at which all results are equally far from the photograph. Shows the "
            "results, what every model says of the others' results, and writes a report into the output folder. "
            "Finished results are kept: run it again after a stop and it goes on.",
            inputs=_inputs(),
            outputs=[
                io.Image.Output("sheet", display_name="contact sheet", tooltip="All results side by side."),
                io.Image.Output(
                    "matrix",
                    display_name="cross-scores",
                    tooltip="What each model (column) says of the results of each (row).",
                ),
                io.String.Output("table", display_name="table", tooltip="The report's numbers as JSON."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        path: session.HostPath,
        vae: Any,
        image: torch.Tensor,
        prior_1: session.HostPrior,
        prior_2: session.HostPrior,
        folder: str,
        levels: str,
        tolerance: float,
        searches: int,
        iterations: int,
        fidelity: str,
        fidelity_weight: float,
        rule: str,
        step_size: float,
        shift: int,
        seed: int,
        more_priors: tuple[session.HostPrior, ...] = (),
        more_judges: tuple[session.HostPrior, ...] = (),
        **others: session.HostPrior | None,
    ) -> io.NodeOutput:
        checks.check_vae(vae, NODE)
        checks.check_vae_fits(vae, path, NODE)
        known = path.path.photograph
        masked = path.path.mask is not None or (known is not None and known.mask is not None)
        if masked or path.path.layout.tile:
            raise UserError(f"{NODE}, socket 'path': masks and tiles are not for comparisons; invert without them")
        batch = picture.reference(image, path, vae, NODE)
        own = [prior_1, prior_2, *(others.get(f"prior_{number}") for number in range(3, MOST + 1))]
        asked = [others.get(f"judge_{number}") for number in range(1, JUDGES + 1)]
        priors = [prior for prior in (*own, *listed(NODE, "more_priors", more_priors)) if prior is not None]
        judges = [prior for prior in (*asked, *listed(NODE, "more_judges", more_judges)) if prior is not None]
        with images.named_errors(NODE):
            target = Folder(files.output_folder(folder))
            check_new_folder(target.path)
            plan = Plan(
                priors=tuple(prior.prior.info.name for prior in priors),
                judges=tuple(prior.prior.info.name for prior in judges),
                levels=_numbers(levels),
                tolerance=tolerance,
                searches=searches,
                size=0,
                fidelity=fidelity,
                fidelity_weight=fidelity_weight,
                iterations=iterations,
                rule=rule,
                step_size=step_size,
                shift=shift,
                seed=seed,
                solver=path.path.solver,
                steps=path.path.schedule.steps,
                strength=0.0,  # the path's own
            )
        everything = session.HostPrior.of(prior_1.prior, *priors, *judges)
        node_id, shared = cls.hidden.unique_id, engine.shared_print(path, vae)

        def body(host: session.Session) -> list[str]:
            photographs = engine.photographs_of(batch)
            running = engine.HostEngine(host, path.path, photographs, shared)
            named = {prior.prior.info.name: prior.prior for prior in (*priors, *judges)}
            with images.named_errors(NODE):
                comparison = Comparison(plan, target, photographs, [], named, running)
                progress = images.Progress(comparison.total)

                def show(state: Progress) -> None:
                    session.check_interrupt()
                    if state.begins:
                        progress.update(state.done)
                    images.show_text(node_id, f"{state.done} of {state.total}: {state.text}")

                comparison.run(show)
            return comparison.warnings()

        latent = session.path_latent(path)
        warnings = session.run(path.model, path.positive, latent, body, vae=vae, patchers=everything.patchers)
        with images.named_errors(NODE):
            done = results.load(target)
            extra, _ = parts.collect(done, target)
            page = report.write(done, target, extra, target.path.name)
            sheet = images.to_image_socket(contact_sheet(done, target))
        matched = done.select()
        drawn = images.to_image_socket(matrix(done)) if len(matched) else sheet[:, :1, :1]
        text = "\n".join([*warnings, _summary(done, page.name, target.path.name)])
        images.show_text(node_id, text)
        table = json.dumps(report.contents(done), indent=1, allow_nan=False)
        return io.NodeOutput(sheet, drawn, table, ui=ui.PreviewText(text))


def _inputs() -> list[io.Input]:
    priors: list[io.Input] = [
        PriorSocket.Input(f"prior_{number}", tooltip="A quality model to climb; it judges the others' results as well.")
        for number in (1, 2)
    ]
    more: list[io.Input] = [
        PriorSocket.Input(f"prior_{number}", optional=True, tooltip="A further quality model to climb.")
        for number in range(3, MOST + 1)
    ]
    judges: list[io.Input] = [
        PriorSocket.Input(f"judge_{number}", optional=True, tooltip="A quality model that only judges.")
        for number in range(1, JUDGES + 1)
    ]
    return [
        PathSocket.Input("path", tooltip="The inverted photographs, from DMAP Invert: the start of every ascent."),
        io.Vae.Input("vae", tooltip="The VAE that encoded the photographs."),
        io.Image.Input("image", tooltip="The photographs themselves: the same images that went into VAE Encode."),
        *priors,
        io.String.Input(
            "folder", default="DMAP_compare", tooltip="Folder inside ComfyUI's output folder for results and report."
        ),
        io.String.Input(
            "levels",
            default="0.05",
            tooltip="How far results may go from the photograph, in fidelity units beyond the start: 0.03 gentle, "
            "0.1 strong. Several, separated by commas, show how models hold up.",
        ),
        io.Float.Input(
            "tolerance",
            default=0.1,
            min=0.01,
            max=0.9,
            step=0.01,
            tooltip="Allowed error in the distance, as a fraction of the target.",
        ),
        io.Int.Input(
            "searches",
            default=8,
            min=1,
            max=50,
            tooltip="How many ascents to spend at most on finding a model's prior weight; 6 to 10.",
        ),
        widget("iterations", tooltip="Iterations of every ascent; 10 to 30 are usual."),
        widget("fidelity", tooltip="How to measure the distance to the photograph."),
        widget(
            "fidelity_weight",
            min=0.1,
            tooltip="Weight of that distance; the prior weight is searched against it.",
        ),
        widget("rule", tooltip="How to choose each step, the same for all."),
        widget("step_size"),
        widget("shift", tooltip="Random shift of the models' view in pixels; 0 turns it off."),
        widget("seed", control_after_generate=False, tooltip="Fixes the random shifts."),
        *more[: FIRST_PRIORS - 2],
        *judges[:FIRST_JUDGES],
        *more[FIRST_PRIORS - 2 :],
        *judges[FIRST_JUDGES:],
        PriorsSocket.Input("more_priors", optional=True, tooltip="Any number of further models to climb."),
        PriorsSocket.Input("more_judges", optional=True, tooltip="Any number of further models that only judge."),
    ]


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise UserError(
            f"levels: got {repeated(text)}; give numbers separated by commas, such as 0.03, 0.06"
        ) from error


def _summary(done: results.Results, page: str, folder: str) -> str:
    chosen = done.select()
    lines = [f"report: output/{folder}/{page}"]
    lines += verdict(done, chosen)
    for name, count in zip(done.names, done.counted.sum(axis=0).tolist(), strict=True):
        if count < len(done.conditions):
            lines.append(f"{name}: {len(done.conditions) - count} of {len(done.conditions)} missed the wanted fidelity")
    if len(chosen):
        gains = cross_scores(done, chosen, gain=True)[0]
        for row, name in enumerate(done.names):
            said = ", ".join(f"{judge} {gains[row, column]:+.1f}" for column, judge in enumerate(done.judges))
            lines.append(f"optimised by {name}: {said}")
    return "\n".join(lines)
