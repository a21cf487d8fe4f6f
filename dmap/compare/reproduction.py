"""The report of ``python -m dmap reproduce``: a section for each experiment with its tables and figures."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np

from ..errors import UserError
from ..output import write_text
from . import figures, mixture
from .charts import intervals
from .drawing import Drawing
from .experiments import EQUAL, FIXED, MIXTURES, PIXELS, Experiment, Missing
from .folder import write_json
from .pages import sheet
from .report import csv_text, over_outputs
from .results import Array, Results
from .specs import parts_of
from .statistics import contrasts, standing
from .verdict import verdict

PAGE, DATA, TABLES = "reproduction.html", "reproduction.json", "tables"
Rows = list[list[str]]


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row names it."""

    name: str
    caption: str
    head: list[str]
    rows: Rows


@dataclass(frozen=True)
class Section:
    """What a section of the report holds.

    Attributes:
        name: of its files.
        title, about: what the paper does and what was done here.
        sentences: what came out, the headline first.
        tables, drawings: by their names.
        link: the experiment's own report, relative to this one; "" without.
        failed: why there is nothing, or not all; "".
    """

    name: str
    title: str
    about: str
    sentences: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    drawings: dict[str, Drawing] = field(default_factory=dict)
    link: str = ""
    failed: str = ""


def section(experiment: Experiment, found: Mapping[str, Results], link: str) -> Section:
    """The section of a finished experiment.

    Args:
        experiment: which one.
        found: results of the experiments that are finished, by name; this one's among them.
        link: its own report.
    """
    results = found[experiment.name]
    chosen = results.select()
    drawn: dict[str, Drawing] = {}
    if experiment.name == PIXELS:
        if (
            EQUAL in found
        ):  # the same judges for both: on a noisy photograph all models want the same, none is a stranger
            found = {**found, PIXELS: replace(results, cosines=found[EQUAL].cosines)}
        sentences, tables = _spaces(found)
        drawn = _spaces_drawing(found)
    elif experiment.name == MIXTURES:
        sentences, tables = _mixtures(results, experiment.mixed)
    else:
        sentences, tables = verdict(results, chosen), [_standing(experiment.name, results), _tests(results, experiment)]
        every = figures.drawings(results, {})
        wanted = {FIXED: ("own_and_others", "cross_scores"), EQUAL: ("gain_over_start", "pareto", "own_and_others")}
        drawn = {name: every[name] for name in wanted.get(experiment.name, ("gain_over_start",)) if name in every}
    return Section(experiment.name, experiment.title, experiment.about, sentences, tables, drawn, link)


def failed(experiment: Experiment, reason: str) -> Section:
    """The section of an experiment that could not be made."""
    return Section(experiment.name, experiment.title, experiment.about, failed=reason)


def study(link: str, trials: int, reason: str = "") -> Section:
    """The section of the debiased study, which is only prepared; ``reason`` says why it could not be."""
    about = (
        "The paper asks people about pairs of outputs, chosen where models disagree most and evenly over photographs "
        "and models (debiased)."
    )
    said = f"Prepared: a page of {trials} trials out of the experiment at equal fidelity. No people were asked."
    return Section("study", "The debiased study", about, [] if reason else [said], link=link, failed=reason)


def _known(value: float | None, form: str) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:{form}}"


def _pair(pair: tuple[Array, Array], row: int, digits: int = 1) -> str:
    value, error = float(pair[0][row]), float(pair[1][row])
    return _known(value, f"+.{digits}f") + (f" \N{PLUS-MINUS SIGN} {error:.{digits}f}" if math.isfinite(error) else "")


def _standing(name: str, results: Results) -> Table:
    chosen = results.select()
    stand = standing(results, chosen)
    like = {name: over_outputs(results, values, chosen) for name, values in results.resemblance.items()}
    rows = [
        [
            model, str(int(stand.starts[row])), _pair(stand.own, row), _pair(stand.others, row),
            _pair(stand.deviations, row, 2), _pair(stand.fooled, row), _known(like["photograph_psnr"][row], ".2f"),
            _known(like["photograph_ssim"][row], ".3f"),
        ]
        for row, model in enumerate(results.names)
    ]  # fmt: skip
    head = [
        "optimised by", "outputs", "own gain, points", "gain by common judges, points", "in standard deviations",
        "unconfirmed, points", "PSNR to the photograph, dB", "SSIM to it",
    ]  # fmt: skip
    return Table(f"{name}_standing", "Gains over the start with standard errors over photographs", head, rows)


def _tests(results: Results, experiment: Experiment) -> Table:
    rows = [
        [
            f"{results.names[one.first]} less {'the start' if one.second is None else results.names[one.second]}",
            _known(one.deviations, "+.2f"),
            "" if one.low is None or one.high is None else f"{one.low:+.2f} to {one.high:+.2f}",
            str(one.photographs), f"{one.adjusted:.3f}", "yes" if one.shown else "not shown",
        ]
        for start in (True, False)
        for one in contrasts(results, results.select(), start=start)
    ]  # fmt: skip
    head = ["difference", "standard deviations", "95 % interval", "photographs", "p, Holm", "shown"]
    return Table(f"{experiment.name}_tests", "Paired sign-flip tests over photographs", head, rows)


def _spaces(found: Mapping[str, Results]) -> tuple[list[str], list[Table]]:
    rows: Rows = []
    counted: dict[str, list[float]] = {}
    for kind, name in (("pixels", PIXELS), ("diffusion latents", EQUAL)):
        if name not in found:
            continue
        results = found[name]
        stand = standing(results, results.select())
        counted[kind] = stand.fooled[0][np.isfinite(stand.fooled[0])].tolist()
        rows += [
            [
                model, kind, _pair(stand.own, row), _pair(stand.others, row), _pair(stand.deviations, row, 2),
                _pair(stand.fooled, row),
            ]
            for row, model in enumerate(results.names)
        ]  # fmt: skip
    means = {kind: float(np.mean(values)) for kind, values in counted.items() if values}
    said = "; ".join(f"{kind} {value:+.1f} points" for kind, value in means.items())
    sentences = [
        f"Gain that the judges do not confirm, mean over the models: {said or 'none could be measured'}.",
        "No test stands behind this: it is read model by model, with the errors of the table.",
    ]
    head = [
        "optimised by", "moving in", "own gain, points", "gain by common judges, points", "in standard deviations",
        "unconfirmed, points",
    ]  # fmt: skip
    return sentences, [Table("pixels_and_latents", "The same models on pixels and in diffusion latents", head, rows)]


def _spaces_drawing(found: Mapping[str, Results]) -> dict[str, Drawing]:
    names, middle, error = [], [], []
    for model in range(len(found[PIXELS].names)):
        for kind, name in (("pixels", PIXELS), ("latents", EQUAL)):
            if name in found:
                results = found[name]
                mean, spread = standing(results, results.select()).fooled
                names.append(f"{results.names[model]}, {kind}")
                middle.append(mean[model])
                error.append(spread[model])
    at, by = np.array(middle), np.array(error)
    title = "Gain that no common judge confirms, with standard errors"
    return {"pixels_and_latents": intervals(title, "unconfirmed gain, points", names, at, at - by, at + by)}


def _mixtures(results: Results, mixed: Sequence[str]) -> tuple[list[str], list[Table]]:
    sentences, tables = [], []
    for number, name in enumerate(mixed):
        parts = parts_of(name, once=True)
        try:
            checked = mixture.check(results, name, parts)
        except UserError as error:
            sentences.append(f"{name}: {error}")
            continue
        sentences.append(f"{name} against {', '.join(parts)}: {checked['verdict']} It is {checked['judging']}.")
        head = [
            "prior",
            "judges' mean gain, points",
            "mixture less this",
            "95 % interval",
            "p, Holm",
            *checked["judges"],
        ]
        rows = [
            [
                str(row["name"]), _known(row["gain"], "+.1f"), _known(row["difference"], "+.1f"),
                "" if row["low"] is None else f"{row['low']:+.1f} to {row['high']:+.1f}",
                _known(row["adjusted"], ".3f"),
                *(_known(value, "+.1f") for value in row["judged"]["mean"]),
            ]
            for row in checked["rows"]
        ]  # fmt: skip
        tables.append(Table(f"mixture_{number + 1}", f"{name} and its parts", head, rows))
    return sentences, tables


def write(out: Path, sections: Sequence[Section], missing: Sequence[Missing], facts: Mapping[str, str]) -> Path:
    """Write the page, its data, every table as CSV and every figure as SVG and PDF.

    Args:
        out: the reproduction's folder.
        sections: in their order.
        missing: files of models that were wanted and are not here.
        facts: what it was made with, in words.
    """
    for one in sections:
        for table in one.tables:
            file = out / TABLES / f"{table.name.replace('/', '_')}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, csv_text([dict(zip(table.head, row, strict=True)) for row in table.rows]))
        for name, drawing in one.drawings.items():
            figures.write_drawing(drawing, out / figures.FOLDER / f"{one.name.replace('/', '_')}_{name}")
    data = {
        "facts": dict(facts),
        "missing": [asdict(one) for one in missing],
        "sections": [
            {
                "name": one.name, "title": one.title, "about": one.about, "sentences": one.sentences,
                "tables": [asdict(table) for table in one.tables], "report": one.link, "failed": one.failed,
            }
            for one in sections
        ],
    }  # fmt: skip
    write_json(out / DATA, data)
    body = "\n".join([*_head(missing, facts), *(part for one in sections for part in _body(one))])
    file = out / PAGE
    write_text(file, sheet("The experiments of arXiv:2403.06406, made again", body))
    return file


_text: Callable[[str], str] = html.escape


def _head(missing: Sequence[Missing], facts: Mapping[str, str]) -> Iterator[str]:
    yield "<section><h2>What was run</h2>"
    yield _html(["", ""], [[key, value] for key, value in facts.items()], "", "text")
    if missing:
        yield (
            "<h3>What is missing</h3><p>Left out or replaced by the pack's own, because files are not on this "
            "machine. Fetch them, name the models' folder with <code>--weights</code> and run the same command again: "
            "what is done is kept.</p>"
        )
        yield _html(["model", "file", "source"], [[one.model, one.file, one.source] for one in missing], "", "text")
    yield "</section>"


def _body(one: Section) -> Iterator[str]:
    yield f"<section><h2>{_text(one.title)}</h2><p class='faint'>{_text(one.about)}</p>"
    if one.failed:
        yield f"<p class='bad'>Not finished: {_text(one.failed)}</p>"
    for number, sentence in enumerate(one.sentences):
        yield f"<p{'' if number else ' class=headline'}>{_text(sentence)}</p>"
    for table in one.tables:
        yield _html(table.head, table.rows, table.caption)
    for drawing in one.drawings.values():
        yield f"<figure>{drawing.svg()}</figure>"
    if one.link:
        yield f"<p><a href='{quote(one.link)}'>All of it: {_text(one.link)}</a></p>"
    yield "</section>"


def _html(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, kind: str = "number") -> str:
    top = "".join(f"<th scope='col'>{_text(cell)}</th>" for cell in head)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td class='{kind}'>{_text(cell)}</td>" for cell in rest)
        lines.append(f"<tr><th scope='row'>{_text(first)}</th>{cells}</tr>")
    named = f"<caption>{_text(caption)}</caption>" if caption else ""
    line = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f"<div class='scroll' tabindex='0'><table>{named}{line}<tbody>{''.join(lines)}</tbody></table></div>"
