"""What an iteration needs of memory, and the ways to need less."""
