"""A page for the browser: an image crosses the link there, pruned beside unpruned, with a slider over SNR.

    python -m lib.deploy demo FOLDER GRAPHS [GRAPHS]      then: python -m http.server --directory FOLDER

Everything that the page needs lies in its folder; it asks no other host.
"""

import base64
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from lib import InputError, data
from lib.device.client import read_link

RUNTIME = "onnxruntime-web@1.27.0"  # from the npm registry, by npm itself, which checks its hash
NEEDED = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
HALF_FROM = 4 * 2**20  # bytes: larger edge graphs are stored in half precision
PAGE = Path(__file__).with_name("demo.html")
SHOWN = 20  # test images to choose from


def write(folder: Path, graphs: list[Path]) -> int:
    """Write the page for one or two exported folders, the second beside the first; returns its size in bytes."""
    links = [read_link(place) for place in graphs]
    if len({(link["data"], link["classes"]) for link in links}) > 1:
        raise InputError("Both graphs must be of one data set, and these are not: "
                         + ", ".join(f"{link.get('run', 'a pipeline')} ({link['data']})" for link in links) + ".")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _runtime(folder)
    for number, place in enumerate(graphs):
        shutil.copyfile(place / "device.onnx", folder / f"device{number}.onnx")
        _edge(place / "edge.onnx", folder / f"edge{number}.onnx")
    images, labels = data.load(links[0]["data"], split="test")
    chosen = np.linspace(0, len(labels) - 1, SHOWN).astype(int)  # evenly over a class-sorted set: all classes
    shown = [{"picture": _png(images[number].numpy()), "label": int(labels[number])} for number in chosen]
    about = [{key: link.get(key) for key in ("run", "bandwidth", "snr_db", "device_macs", "ratio", "pool")}
             for link in links]
    content = json.dumps({"links": about, "names": links[0].get("names"), "images": shown}).replace("<", "\\u003c")
    (folder / "index.html").write_text(PAGE.read_text().replace("/*DATA*/null", content))
    return sum(file.stat().st_size for file in folder.iterdir())


def _runtime(folder):
    """onnxruntime's WebAssembly build, once."""
    if all((folder / name).exists() for name in NEEDED):
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            subprocess.run(["npm", "pack", RUNTIME, "--silent"], cwd=scratch, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise InputError(f"The page needs {RUNTIME}, which `npm pack` could not get: it needs npm, and the "
                             "network once.") from error
        [package] = Path(scratch).glob("*.tgz")
        with tarfile.open(package) as archive:
            for name in NEEDED:
                (folder / name).write_bytes(archive.extractfile(f"package/dist/{name}").read())


def _edge(source, target):
    """The edge graph, in half precision where it is large; given and returned values stay float32."""
    if source.stat().st_size < HALF_FROM:
        shutil.copyfile(source, target)
        return
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


def _png(image):
    """A uint8 image [3, H, W] as a data URL."""
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
