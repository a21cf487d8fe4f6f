"""MAP estimation in diffusion latents with no-reference image quality models as priors (arXiv:2403.06406).

Plain torch; knows nothing of the program that hosts it.
"""

__version__ = "0.2.0"
