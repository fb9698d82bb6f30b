"""What the server of runs imports before it forks (`lib.execution.processes`), and the data set, which it reads.

Neither CUDA nor threads survive a fork, so nothing here may ask for a GPU or compute on more than one thread.
"""

import functools
import gc
import importlib
import json
import os
import sys

sys.modules.setdefault("rfc3987_syntax", None)  # an optional checker of jsonschema: 2 s to import, and not needed
for module in ("torch._dynamo",  # what the first optimizer of a process imports
               "matplotlib_inline.backend_inline",
               "lib.execution.atomic", "lib.execution.notebook", "lib.job", "lib.pruning", "lib.evaluation",
               "lib.schemes.measure", "lib.results", "lib.claims.judge", "lib.claims.choices",
               "lib.report.figures", "lib.report.paper_figures", "lib.report.tables", "lib.report.system",
               "lib.lessons.drawing", "lib.reading.loaded", "lib.reading.over_snr", "lib.reading.trade_off"):
    importlib.import_module(module)

import torch  # noqa: E402

from lib import data  # noqa: E402

torch.set_num_threads(1)
data.dataset = functools.cache(data.dataset)
if named := json.loads(os.environ["STUDY_DATA"]):
    data.dataset(*named)
gc.freeze()  # a collection in a child would touch, and so copy, all memory that it shares
