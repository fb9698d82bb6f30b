"""The machinery around the science: a study's parameters, its list of runs, and where their results lie."""
