"""What goes from a comparison into a paper: a paragraph on the method, tables for LaTeX, references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..output import write_text
from .folder import Folder
from .plan import Plan
from .results import Results
from .statistics import contrasts, standing

METHODS, TABLES, REFERENCES = "methods.txt", "tables.tex", "references.bib"

BIBLIOGRAPHY = """@article{zhang2024when,
  title   = {When No-Reference Image Quality Models Meet {MAP} Estimation in Diffusion Latents},
  author  = {Zhang, Weixia and Li, Dingquan and Zhai, Guangtao and Yang, Xiaokang and Ma, Kede},
  journal = {arXiv preprint arXiv:2403.06406},
  year    = {2024}
}
@article{laparra2016perceptual,
  title   = {Perceptual Image Quality Assessment Using a Normalized {Laplacian} Pyramid},
  author  = {Laparra, Valero and Ball{\\'e}, Johannes and Berardino, Alexander and Simoncelli, Eero P.},
  journal = {Electronic Imaging},
  year    = {2016}
}
@article{holm1979simple,
  title   = {A Simple Sequentially Rejective Multiple Test Procedure},
  author  = {Holm, Sture},
  journal = {Scandinavian Journal of Statistics},
  volume  = {6},
  pages   = {65--70},
  year    = {1979}
}
@book{efron1993introduction,
  title     = {An Introduction to the Bootstrap},
  author    = {Efron, Bradley and Tibshirani, Robert J.},
  publisher = {Chapman and Hall},
  year      = {1993}
}
@article{owen2007pigeonhole,
  title   = {The Pigeonhole Bootstrap},
  author  = {Owen, Art B.},
  journal = {The Annals of Applied Statistics},
  volume  = {1},
  number  = {2},
  pages   = {386--411},
  year    = {2007}
}
@inproceedings{ma2016group,
  title     = {Group {MAD} Competition: A New Methodology to Compare Objective Image Quality Models},
  author    = {Ma, Kede and Wu, Qingbo and Wang, Zhou and Duanmu, Zhengfang and Yong, Hongwei and Li, Hongliang and
               Zhang, Lei},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year      = {2016}
}
@inproceedings{cao2021debiased,
  title     = {Debiased Subjective Assessment of Real-World Image Enhancement},
  author    = {Cao, Peibei and Wang, Zhangyang and Ma, Kede},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year      = {2021}
}
@article{bradley1952rank,
  title   = {Rank Analysis of Incomplete Block Designs: {I}. The Method of Paired Comparisons},
  author  = {Bradley, Ralph Allan and Terry, Milton E.},
  journal = {Biometrika},
  volume  = {39},
  pages   = {324--345},
  year    = {1952}
}
"""


def write(results: Results, folder: Folder, extra: Mapping[str, Any]) -> None:
    """Write the paragraph, the tables and the references into the comparison's folder."""
    write_text(folder.path / METHODS, methods(results, extra) + "\n")
    write_text(folder.path / TABLES, tables(results))
    write_text(folder.path / REFERENCES, BIBLIOGRAPHY)


def methods(results: Results, extra: Mapping[str, Any]) -> str:
    """How the comparison was made and tested, as a paragraph; everything in it comes from the record."""
    plan, index = results.plan, results.index
    sizes = sorted({(one["width"], one["height"]) for one in index["photographs"]})
    shown = ", ".join(f"{width}x{height}" for width, height in sizes[:3]) + (" and others" if len(sizes) > 3 else "")
    judges = [results.judges[number] for number in results.common]
    sentences = [
        f"{len(index['photographs'])} photographs ({shown} px) were taken with the degradations "
        f"{', '.join(plan.degradations)}{_inverted(plan)}.",
        f"From each start, {len(results.names)} quality models ({', '.join(results.names)}) were climbed in "
        f"{SPACES_IN_WORDS[plan.space]} for {plan.iterations} iterations{_stop(plan)} ({plan.rule}, step size "
        f"{plan.step_size:g}, fidelity {plan.fidelity} with weight {plan.fidelity_weight:g}, random shifts up to "
        f"{plan.shift} px, seed {plan.seed}).",
        _weights(plan),
        f"Outputs were compared by {_judges(judges)}, in units of each judge's standard deviation over the starts, by "
        "paired sign-flip tests over photographs with Holm's correction over all pairs of models at 5 %; intervals are "
        "95 % studentised bootstrap intervals over photographs.",
    ]
    ranking = extra.get("ranking")
    if ranking:
        sentences.append(
            f"{len(ranking['observers'])} observers compared pairs of outputs blind ({ranking['strategy']} choice of "
            "pairs); strengths are Bradley and Terry's, with 95 % bootstrap intervals by resampling "
            f"{ranking['resampled']}."
        )
    sentences.append(f"Software: {', '.join(f'{name} {version}' for name, version in index['software'].items())}.")
    return " ".join(sentences)


SPACES_IN_WORDS = {
    "diffusion": "the diffusion latents", "latent": "the autoencoder's latents", "pixels": "pixels",
}  # fmt: skip


def _inverted(plan: Plan) -> str:
    if plan.space != "diffusion":
        return ""
    strength = f", strength {plan.strength:g}" if plan.strength else ""  # a host's path does not say
    return f" and inverted by {plan.solver} ({plan.steps} steps{strength})"


def _stop(plan: Plan) -> str:
    return "" if plan.target_score >= 100 else f" at most, until its own score was {plan.target_score:g}"


def _weights(plan: Plan) -> str:
    if plan.fixed_weight:
        return (
            f"The prior weight was {plan.fixed_weight:g} for every model and start, so outputs are not equally far "
            "from the photograph."
        )
    return (
        "For each model and start the prior weight was searched at which the fidelity was that of the start plus "
        f"{' or '.join(f'{level:g}' for level in plan.levels)}, within {100 * plan.tolerance:g} % of that level; "
        "outputs outside were left out."
    )


def _judges(names: Sequence[str]) -> str:
    if not names:
        return "the models that are kin of neither of a pair, their effects estimated jointly"
    return f"the {len(names)} models that are kin of none of them ({', '.join(names)})"


def tables(results: Results) -> str:
    """LaTeX tables of the models' standing and of the paired tests; they need the package booktabs."""
    chosen = results.select()
    stand = standing(results, chosen)
    rows = [
        [_text(name), *(_pair(pair, row, 2) for pair in (stand.own, stand.others, stand.deviations, stand.cost))]
        for row, name in enumerate(results.names)
    ]
    first = _table(
        ["model", "own gain", "gain by common judges", "in standard deviations", "unconfirmed for 0.01 of $D$"],
        rows,
        "Gain over the start, in points and in the judges' standard deviations, $\\pm$ standard error.",
    )
    body = [
        [
            f"{_text(results.names[one.first])} $-$ {_text('' if one.second is None else results.names[one.second])}",
            f"${one.deviations:.2f}$",
            "" if one.low is None or one.high is None else f"$[{one.low:.2f}, {one.high:.2f}]$",
            f"{one.favour}/{one.judges}",
            str(one.photographs),
            f"{one.adjusted:.3f}",
        ]
        for one in contrasts(results, chosen)
    ]
    head = ["difference", "standard deviations", "95\\,\\% interval", "judges", "photographs", "$p$ (Holm)"]
    return first + "\n" + _table(head, body, "Paired sign-flip tests over photographs.")


def _pair(pair: tuple[Any, Any], row: int, digits: int) -> str:
    mean, error = float(pair[0][row]), float(pair[1][row])
    if mean != mean:
        return "--"
    return f"${mean:.{digits}f}$" if error != error else f"${mean:.{digits}f} \\pm {error:.{digits}f}$"


def _text(name: str) -> str:
    """A name with LaTeX's own signs made harmless."""
    signs = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    return "".join(signs.get(sign, f"\\{sign}" if sign in "&%$#_{}" else sign) for sign in name)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    lines = [
        "\\begin{table}", f"\\caption{{{caption}}}", f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", "\\toprule",
        " & ".join(head) + " \\\\", "\\midrule", *(" & ".join(row) + " \\\\" for row in rows), "\\bottomrule",
        "\\end{tabular}", "\\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
