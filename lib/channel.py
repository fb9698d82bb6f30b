"""The wireless link (Sec. II-A): the power constraint, and the channels that a study may send its symbols over.

Any differentiable channel will do, as the paper says. Each is a module with `forward(x)` on real symbols [N, B] or
[N, C, H, W] of unit mean power and an `snr_db` that evaluation sets anew; it draws from torch's global generator.
"""

from lib.channels.awgn import AWGN, capacity, normalize_power
from lib.channels.build import build
from lib.channels.constellation import Constellation, Modulated
from lib.channels.fading import Fading
from lib.channels.losses import Erasure, PeakLimited
from lib.channels.tdl import TDL

__all__ = ["AWGN", "TDL", "Constellation", "Erasure", "Fading", "Modulated", "PeakLimited", "build", "capacity",
           "normalize_power"]
