"""Lets a torchvision built for CUDA be imported beside a CPU build of torch.

Such a torchvision cannot load its C++ operators, and its import then fails because two of them have no
schema. We define the two schemas, only after that exact failure (doing it up front breaks a CUDA build).
Data sets, models and transforms work afterwards; `torchvision.io` and the detection operators do not.
"""

import sys

import torch

_fragment = None  # the library object must live as long as its schemas


def mend() -> None:
    """Import torchvision, defining `nms` and `qnms` if their absence is what stops it."""
    global _fragment
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _fragment = torch.library.Library("torchvision", "FRAGMENT")
        _fragment.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _fragment.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401
