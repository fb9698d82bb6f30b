"""A trained model from the files of its run: its network and its pipeline, rebuilt at their pruned widths."""

from pathlib import Path
from typing import Any

from lib import channel, codec, networks, weights
from lib.batch import places
from lib.channels.parameters import StudyChannel
from lib.networks import structure
from lib.networks.layers import Network


def network(state: weights.State, result: dict[str, Any]) -> Network:
    """The network of a run's weights and result, in evaluation mode.

    Of what was stored, not of today's YAML: the weights fit what was trained.
    """
    state = weights.part(state, "network") or state
    # The last layer's; results from before there was a choice say no name.
    classes = [value for name, value in state.items() if name.startswith("classifier.") and name.endswith(".bias")][-1]
    rebuilt = networks.build(result["parameters"]["network"].get("name", "vgg16_bn"), classes.numel(),
                             channels=result["channels"], bias="features.0.bias" in state)
    rebuilt.load_state_dict(state)
    return rebuilt.eval()


def pipeline(folder: Path) -> tuple[codec.Pipeline, dict[str, Any]]:
    """(the pipeline in evaluation mode, its result) of a finished step 4; InputError for damaged weights."""
    places.check_weights(folder)
    state, result = weights.load(folder), places.read_result(folder)
    chosen, rebuilt = result["parameters"], network(state, result)
    side = chosen.get("pictures", {}).get("side", 32)
    maps, _, size = structure.feature_shape(structure.split(rebuilt, chosen["pool"])[0], (3, side, side))
    link = codec.link(chosen["pool"], maps, chosen["bandwidth"], chosen["snr_db"], size=size,
                      gdn=any(name.endswith("beta_root") for name in state),
                      channel=channel.build(StudyChannel(**chosen.get("channel", {})), chosen["snr_db"]))
    link.load_state_dict(weights.part(state, "link"))
    return codec.Pipeline(rebuilt, chosen["pool"], link).eval(), result
