"""What runs on the device, and needs numpy, onnxruntime and Pillow alone: no torch, no pandas, nothing else of `lib`.

    python -m lib.device FOLDER --edge HOST:PORT --images PICTURES

To measure on a device of one's own, copy lib/__init__.py, lib/device/ and the folder that `lib.deploy.export` wrote
(docs/device.md).
"""
