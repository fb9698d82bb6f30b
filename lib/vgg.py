"""VGG16, and what any network is taken apart by; the definitions are in lib/networks."""

from lib.networks.structure import channels, channels_at, convolutions, split, split_index  # noqa: F401
from lib.networks.vgg import VGG, vgg16_bn  # noqa: F401
