"""Reference implementation of "Joint Device-Edge Inference over Wireless Links with Pruning" (2020)."""


class InputError(ValueError):
    """What the user gave cannot be used; the message is one sentence, and the exit code is 2."""
