"""Photographs: files, what is known of them, how they lie on the latent grid, and what becomes of them at the end."""
