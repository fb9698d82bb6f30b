"""The device half outside the notebook: two ONNX graphs, the edge's end of the link, int8, latency.

    python -m lib.deploy export outputs/quick/end_to_end/… FOLDER     device.onnx, edge.onnx, link.json
    python -m lib.deploy edge FOLDER --snr 14.5                       waits for symbols, answers with logits
    python -m lib.deploy device FOLDER --images images.npy            sends one image after the other

The device's end is `lib.device`, whose process holds neither torch nor pandas, so nothing is imported here.
"""

from typing import Any


def export(source: Any, folder: Any, mean: Any = None, std: Any = None, side: int = 32) -> dict:
    """Write `device.onnx`, `edge.onnx` and `link.json` into a folder: see `lib.deploy.graphs.export`."""
    from lib.deploy import graphs

    return graphs.export(source, folder, mean, std, side)
