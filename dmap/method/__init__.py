"""The method (arXiv:2403.06406): schedule, solver, chain and its gradient, fidelity, objective, ascent."""
