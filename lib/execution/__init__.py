"""How a run is executed: its notebook in a forked process, finished atomically; how long what is left takes."""
