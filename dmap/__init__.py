"""MAP estimation in diffusion latents with no-reference image quality models as priors (arXiv:2403.06406).

Plain torch; knows nothing of the program that hosts it. ``dmap.restore`` restores a photograph; its parts, in the order
in which they are used:

    Photograph                     a photograph, its alpha channel, its holes, and where it may change
    Settings, PRESETS              how to restore, and named settings
    shipped, LatentDiffusion       the pack's own diffusion model, and what any other one must offer
    load_prior, prior_names        quality models by name
    begin, finish                  the steps of ``restore`` around an ascent, for those who want to see or change it
    invert, prepare                the steps of ``begin``
"""

from .errors import UserError
from .image.photograph import Photograph
from .models.diffusion import LatentDiffusion, shipped
from .priors import Prior, load_prior, prior_names
from .restoration import Restored, Safeguards, begin, finish, invert, prepare, restore
from .settings import PRESETS, Settings

__version__ = "0.2.0"

__all__ = [
    "PRESETS",
    "LatentDiffusion",
    "Photograph",
    "Prior",
    "Restored",
    "Safeguards",
    "Settings",
    "UserError",
    "__version__",
    "begin",
    "finish",
    "invert",
    "load_prior",
    "prepare",
    "prior_names",
    "restore",
    "shipped",
]
