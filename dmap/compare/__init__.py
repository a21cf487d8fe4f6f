"""Quality models compared by what they optimise to (arXiv:2403.06406): run, judge, ask people, rank, report."""
