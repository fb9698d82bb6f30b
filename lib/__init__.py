"""Reference implementation of "Joint Device-Edge Inference over Wireless Links with Pruning" (2020)."""

import os

# Threads that spin for long while they wait cost a busy machine ten times, not at all half the speed of one. OpenMP
# asks for it when torch is imported, so that this stands where every import of `lib` begins.
SPINCOUNT = os.environ.setdefault("GOMP_SPINCOUNT", "1000")


class InputError(ValueError):
    """What the user gave cannot be used; the message is one sentence, and the exit code is 2."""
