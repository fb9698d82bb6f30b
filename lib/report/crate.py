"""An RO-Crate of a study's results, for an archive, made from the provenance of its runs.

    pip install rocrate                  (an extra: it is not among the pinned packages)
    python -m lib.report.crate gpu  ->   outputs/gpu/ro-crate-metadata.json
"""

import sys
from pathlib import Path

from lib import study
from lib.batch import places


def write(profile: str) -> Path:
    """Write the metadata file beside a study's results, which it describes; returns its path."""
    # Here, because the package is an extra: the rest of lib.report must import without it.
    from rocrate.model import ContextEntity
    from rocrate.rocrate import ROCrate

    settings = study.load(profile)
    root, crate, ends = places.folder_of(settings, ""), ROCrate(), []
    crate.name = f"Joint device-edge inference over wireless links with pruning: the study {settings.name}"
    crate.description, crate.license = settings.about, "https://spdx.org/licenses/MIT"
    stored = {}
    for item in study.runs(settings):
        folder = places.folder_of(settings, item.name)
        # Step 1 of another study stays there.
        if not places.finished(folder) or not folder.is_relative_to(root):
            continue
        result = places.read_result(folder)
        origin = result["provenance"]
        # With its path, so that the crate lists the file where it lies.
        stored[item.name] = crate.add_file(folder / "result.json", f"{item.name}/result.json", properties={
            "name": item.name, "encodingFormat": "application/json"})
        notebook = crate.add(ContextEntity(crate, f"#{item.notebook}", properties={
            "@type": "SoftwareSourceCode", "name": f"notebooks/{item.notebook}.ipynb"}))
        ends.append(origin["end"])
        # One action a run, with its notebook as the instrument.
        crate.add_action(
            # The inputs are results that are in this crate; step 1 of another study is not.
            notebook, f"#{item.name}", object=[stored[name] for name in item.upstream if name in stored],
            result=[stored[item.name]], properties={
                "name": item.name, "startTime": origin["start"], "endTime": origin["end"], "description":
                f"seed {origin['seed']}, {origin['device']}, commit {origin['commit']}, hash {result['hash']}"})
    crate.datePublished = max(ends, default="")  # the same results make the same file
    # The metadata alone: `crate.write` would copy all results.
    crate.metadata.write(root)
    return root / "ro-crate-metadata.json"


if __name__ == "__main__":
    print(write(sys.argv[1]))
