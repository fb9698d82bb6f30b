"""One thread, so that the suite's time does not depend on what else the machine does."""

import torch

torch.set_num_threads(1)
