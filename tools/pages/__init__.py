"""Generators of texts, pictures and samples that the pack carries."""
