"""A path: what inversion leaves and decoding needs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from .. import jsonfile, tensorfile
from ..errors import UserError
from ..image.layout import Layout
from ..image.photograph import Photograph
from .schedule import Schedule

FORMAT = "dmap-path"
VERSION = "1"
FLOW = "flow"
BESIDE = "beside."
"""Before the names of a photograph's tensors in a path's file."""


@dataclass(frozen=True)
class LatentPath:
    """An inverted latent with all that its solver needs to sample it again.

    Attributes:
        solver: the solver's registered name.
        schedule: the noise levels that were walked.
        state: (S, B, C, H, W) the solver's state at ``schedule.sigmas[0]``; S = 1, or 2 for a pair.
        latent: (B, C, H, W) the clean latent that was inverted.
        scale: (B,) standard deviation of the inverted state; ``state / scale`` is the unit-variance variable that
            the ascent moves.
        residuals: (steps, B, C, H, W), or None for solvers that need none.
        settings: the solver's numbers, such as EDICT's mixing.
        start: the inverted state, once an ascent has moved ``state`` away from it; None before.
        layout: how the picture lies on the latent grid.
        detail: (B,) in [0, 1], the share of what the autoencoder lost that is part of the picture; None = none of it.
        photograph: what was inverted, if it is known: a latent may come without its photograph.
        mask: (1 or B, 1, h, w) in [0, 1], of any size: where the picture may change, as the latent said that it came
            with; None = everywhere. The photograph's own mask holds besides.
    """

    solver: str
    schedule: Schedule
    state: Tensor
    latent: Tensor
    scale: Tensor
    residuals: Tensor | None = None
    settings: dict[str, float] = field(default_factory=dict)
    start: Tensor | None = None
    layout: Layout = field(default_factory=Layout)
    detail: Tensor | None = None
    photograph: Photograph | None = None
    mask: Tensor | None = None

    @property
    def batch(self) -> int:
        """Number of images."""
        return self.state.shape[1]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> LatentPath:
        """The same path on another device, and in another floating dtype if one is given."""

        def move(x: Tensor) -> Tensor:
            return x.to(device=device, dtype=dtype or x.dtype)

        return self._mapped(move, move)

    def _mapped(self, of_images: Callable[[Tensor], Tensor], of_steps: Callable[[Tensor], Tensor]) -> LatentPath:
        """With functions applied to the tensors (B, ...) and (S or steps, B, ...)."""

        def each(x: Tensor | None, change: Callable[[Tensor], Tensor]) -> Tensor | None:
            return None if x is None else change(x)

        return replace(
            self,
            state=of_steps(self.state),
            latent=of_images(self.latent),
            scale=of_images(self.scale),
            residuals=each(self.residuals, of_steps),
            start=each(self.start, of_steps),
            detail=each(self.detail, of_images),
            mask=each(self.mask, of_images),
            photograph=None if self.photograph is None else self.photograph.mapped(of_images),
        )

    def with_state(self, state: Tensor) -> LatentPath:
        """The same path with another start, as the ascent leaves it."""
        if state.shape != self.state.shape:
            raise UserError(f"state: got shape {tuple(state.shape)}, the path has {tuple(self.state.shape)}")
        return replace(self, state=state, start=self.state if self.start is None else self.start)

    def at(self, strength: float) -> LatentPath:
        """The path part of the way that an ascent went: 0 = the inverted photograph, 1 = all of it.

        Raises:
            UserError: for a strength outside [0, 1].
        """
        if not 0 <= strength <= 1:
            raise UserError(f"strength: got {strength}, it must be from 0 (the photograph) to 1 (the full change)")
        if self.start is None or strength == 1:
            return self
        return replace(self, state=torch.lerp(self.start, self.state, strength))

    def image(self, index: int) -> LatentPath:
        """The path of one image of the batch."""
        one = slice(index, index + 1)
        mapped = replace(self, photograph=None, mask=None)._mapped(lambda x: x[one], lambda x: x[:, one])
        return replace(
            mapped,
            photograph=None if self.photograph is None else self.photograph.one(index),
            mask=self.mask if self.mask is None or len(self.mask) == 1 else self.mask[one],
        )

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the path as safetensors, atomically, its photograph with it."""
        tensors = {"sigmas": self.schedule.sigmas, "state": self.state, "latent": self.latent, "scale": self.scale}
        if self.residuals is not None:
            tensors["residuals"] = self.residuals
        if self.start is not None:
            tensors["start"] = self.start
        if self.detail is not None:
            tensors["detail"] = self.detail
        if self.mask is not None:
            tensors["mask"] = self.mask
        if self.photograph is not None:
            alpha = [] if self.photograph.alpha is None else [self.photograph.alpha]
            tensors[f"{BESIDE}photograph"] = torch.cat([self.photograph.pixels, *alpha], dim=1)
            for key in ("mask", "known"):
                if (x := getattr(self.photograph, key)) is not None:
                    tensors[BESIDE + key] = x
        meta = {"format": FORMAT, "version": VERSION, "solver": self.solver, "settings": json.dumps(self.settings)}
        meta["layout"] = json.dumps(asdict(self.layout))
        meta["family"] = FLOW if self.schedule.flow else ""
        tensorfile.write(file, tensors, meta)

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> LatentPath:
        """Read a path that ``save`` wrote.

        Raises:
            UserError: if the file is missing, damaged, of another kind or version, or its tensors do not fit
                together.
        """
        name = Path(file).name
        tensors, meta = tensorfile.read(file, "path file", "save the path again")
        if meta.get("format") != FORMAT:
            raise UserError(f"path file {name}: it is not a path saved by DMAP; choose another file")
        if meta.get("version") != VERSION:
            raise UserError(f"path file {name}: version {meta.get('version')} is not known here; update the pack")
        missing = {"sigmas", "state", "latent", "scale"} - tensors.keys()
        if missing:
            raise UserError(f"path file {name}: {', '.join(sorted(missing))} missing; save the path again")
        path = cls(
            solver=meta.get("solver", ""),
            schedule=Schedule(tensors["sigmas"], meta.get("family") == FLOW),
            state=tensors["state"],
            latent=tensors["latent"],
            scale=tensors["scale"],
            residuals=tensors.get("residuals"),
            settings=_numbers(meta.get("settings", "{}"), "settings", name),
            start=tensors.get("start"),
            layout=_layout(meta.get("layout", "{}"), name),
            detail=tensors.get("detail"),
            photograph=_photograph(tensors, name),
            mask=tensors.get("mask"),
        )
        path._check(name)
        return path

    def _check(self, name: str) -> None:
        shape = tuple(self.latent.shape)
        fits = self.state.ndim == 5 and tuple(self.state.shape[1:]) == shape and self.scale.shape == shape[:1]
        if self.residuals is not None:
            fits = fits and tuple(self.residuals.shape) == (self.schedule.steps, *shape)
        if self.start is not None:
            fits = fits and self.start.shape == self.state.shape
        if self.detail is not None:
            fits = fits and self.detail.shape == shape[:1] and bool(((self.detail >= 0) & (self.detail <= 1)).all())
        if self.mask is not None:
            fits = fits and self.mask.ndim == 4 and self.mask.shape[1] == 1 and len(self.mask) in (1, shape[0])
            fits = fits and bool(((self.mask >= 0) & (self.mask <= 1)).all())
        fits = fits and (self.photograph is None or len(self.photograph.pixels) == len(self.latent))
        if not fits:
            raise UserError(f"path file {name}: its tensors' shapes do not fit together; save the path again")
        others = (x for x in (self.start, self.residuals) if x is not None)
        numbers = [self.state, self.latent, self.scale, *others]
        if not all(torch.isfinite(x).all() for x in numbers):
            raise UserError(f"path file {name}: it holds numbers that are not finite; save the path again")


def _numbers(text: str, what: str, name: str) -> dict[str, float]:
    try:
        return jsonfile.shaped(dict[str, float], jsonfile.loads(text))
    except UserError as error:
        raise UserError(f"path file {name}: its {what} are not valid ({error}); save the path again") from error


def _layout(text: str, name: str) -> Layout:
    numbers = _numbers(text, "layout's numbers", name)
    try:
        return Layout(**{key: int(value) for key, value in numbers.items()})
    except (TypeError, ValueError) as error:
        raise UserError(f"path file {name}: its layout {text!r} is not valid; save the path again") from error


def _photograph(tensors: dict[str, Tensor], name: str) -> Photograph | None:
    image = tensors.get(f"{BESIDE}photograph")
    if image is None:
        return None
    try:
        photograph = Photograph.of(image)
        return replace(photograph, known=tensors.get(f"{BESIDE}known"), mask=tensors.get(f"{BESIDE}mask"))
    except UserError as error:
        raise UserError(f"path file {name}: its {error}; save the path again") from error
