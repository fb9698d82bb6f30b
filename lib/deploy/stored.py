"""A trained model from the files of its run: its network and its pipeline, rebuilt at their pruned widths."""

from pathlib import Path
from typing import Any

from lib import channel, codec, vgg, weights
from lib.batch import places
from lib.channels.parameters import StudyChannel


def network(state: weights.State, result: dict[str, Any]) -> vgg.VGG:
    """The network of a run's weights and result, in evaluation mode.

    Of what was stored, not of today's YAML: the weights fit what was trained.
    """
    state = weights.part(state, "network") or state
    rebuilt = vgg.vgg16_bn(state["classifier.5.bias"].numel(), channels=result["channels"],
                           bias="features.0.bias" in state)
    rebuilt.load_state_dict(state)
    return rebuilt.eval()


def pipeline(folder: Path) -> tuple[codec.Pipeline, dict[str, Any]]:
    """(the pipeline in evaluation mode, its result) of a finished step 4; InputError for damaged weights."""
    places.check_weights(folder)
    state, result = weights.load(folder), places.read_result(folder)
    chosen, rebuilt = result["parameters"], network(state, result)
    link = codec.link(chosen["pool"], vgg.channels_at(rebuilt, chosen["pool"]), chosen["bandwidth"], chosen["snr_db"],
                      gdn=any(name.endswith("beta_root") for name in state),
                      channel=channel.build(StudyChannel(**chosen.get("channel", {})), chosen["snr_db"]))
    link.load_state_dict(weights.part(state, "link"))
    return codec.Pipeline(rebuilt, chosen["pool"], link).eval(), result
