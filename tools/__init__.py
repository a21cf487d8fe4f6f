"""What developers need and users do not: training recipes, benchmarks, a host for tests, generators.

Neither ``dmap`` nor ``nodes`` imports anything from here.
"""
