"""The machinery around the science: a study's parameters, its list of runs, and what executes them."""
