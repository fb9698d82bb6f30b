"""The autoencoder of Fig. 2 that carries a feature map over the channel (Sec. II-C)."""

import torch
import torch.nn.functional as F
from torch import nn

from lib.channel import AWGN, normalize_power
from lib.geometry import SYMBOLS_PER_CHANNEL, latent_channels, map_side, symbol_channels  # noqa: F401
from lib.networks import structure
from lib.networks.layers import Network

PEDESTAL = 2.0**-36


# A plain clamp has no gradient below its bound, so that what falls under it stays there.
class _LowerBound(torch.autograd.Function):
    """max(x, bound) whose gradient also passes where it would raise a value that is below the bound."""

    @staticmethod
    def forward(context, x, bound):
        context.save_for_backward(x, bound)
        return torch.maximum(x, bound)

    @staticmethod
    def backward(context, gradient):
        x, bound = context.saved_tensors
        return gradient * ((x >= bound) | (gradient < 0)), None


class GDN(nn.Module):
    """Generalised divisive normalisation: Eq. (1), or, inverse, Eq. (2).

    [N, channels, H, W] to the same shape. β and γ are stored as square roots with a small pedestal, so that
    β ≥ 1e-6 and γ ≥ 0 hold during training (Ballé et al., 2015).
    """

    def __init__(self, channels: int, inverse: bool = False):
        super().__init__()
        self.inverse = inverse
        # β = 1 and γ = 0.1·I at the start, as Ballé et al. take them: nearly the identity.
        self.beta_root = nn.Parameter((torch.ones(channels) + PEDESTAL).sqrt())
        self.gamma_root = nn.Parameter((0.1 * torch.eye(channels) + PEDESTAL).sqrt())
        # Bounds move with the module to a GPU, and into its state dict.
        self.register_buffer("beta_bound", torch.tensor(1e-6 + PEDESTAL).sqrt())
        self.register_buffer("gamma_bound", torch.tensor(PEDESTAL).sqrt())

    @property
    def beta(self) -> torch.Tensor:
        """β [channels]"""
        return _LowerBound.apply(self.beta_root, self.beta_bound).square() - PEDESTAL

    @property
    def gamma(self) -> torch.Tensor:
        """γ [out, in]"""
        return _LowerBound.apply(self.gamma_root, self.gamma_bound).square() - PEDESTAL

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Σ_j γ_ij·x_j² + β_i is a 1×1 convolution of the squares: one fast call, in either
        # precision.
        norm = F.conv2d(x.square(), self.gamma[:, :, None, None], self.beta)
        return x * (norm.sqrt() if self.inverse else norm.rsqrt())


class Encoder(nn.Sequential):
    """Fig. 2a: 3×3 convolution, GDN, PReLU. [N, in, H, W] to [N, symbol_channels, H/stride, W/stride]."""

    def __init__(self, in_channels: int, symbol_channels: int, stride: int = 2, gdn: bool = True):
        super().__init__(
            # The only convolution that the device adds; its filters set the bandwidth.
            nn.Conv2d(in_channels, symbol_channels, 3, stride, padding=1),
            GDN(symbol_channels) if gdn else nn.Identity(),
            # One slope a channel: negative values reach the channel too.
            nn.PReLU(symbol_channels))


class Decoder(nn.Sequential):
    """Fig. 2b: 3×3 convolution, IGDN, PReLU, upsampling, 3×3 convolution, batch norm, PReLU.

    [N, symbol_channels, h, w] to [N, out_channels, h·upsample, w·upsample].
    """

    def __init__(self, symbol_channels: int, out_channels: int, upsample: int = 2, gdn: bool = True):
        super().__init__(
            nn.Conv2d(symbol_channels, symbol_channels, 3, padding=1),
            GDN(symbol_channels, inverse=True) if gdn else nn.Identity(),
            nn.PReLU(symbol_channels),
            # Without weights and before the last convolution, which then smooths the blocks.
            nn.Upsample(scale_factor=upsample, mode="nearest") if upsample > 1 else nn.Identity(),
            nn.Conv2d(symbol_channels, out_channels, 3, padding=1),
            # As in the network whose features it restores (Fig. 2b).
            nn.BatchNorm2d(out_channels),
            nn.PReLU(out_channels))


class Link(nn.Module):
    """Encoder, power constraint, channel, decoder: [N, channels, H, W] to its reconstruction of that shape.

    The channel is AWGN, where no other is given.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, snr_db: float, channel: nn.Module | None = None):
        super().__init__()
        self.encoder = encoder
        self.channel = AWGN(snr_db) if channel is None else channel
        self.decoder = decoder

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """The channel input [N, symbol_channels, h, w], of unit mean power an image."""
        return normalize_power(self.encoder(features))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.channel(self.encode(features)))


def link(pool: int, channels: int, bandwidth: int, snr_db: float, gdn: bool = True,
         channel: nn.Module | None = None, size: int | None = None) -> Link:
    """The autoencoder for a split whose map has `channels` channels of size × size, over AWGN or a given channel.

    Without a `size`, that of VGG16's map of a 32×32 image after this pooling.
    """
    latent = latent_channels(size, bandwidth) if size else symbol_channels(pool, bandwidth)
    # Of a single pixel there is nothing to halve.
    stride = 1 if (size or map_side(pool)) == 1 else 2
    return Link(Encoder(channels, latent, stride, gdn), Decoder(latent, channels, stride, gdn), snr_db,
                channel)


class Pipeline(nn.Module):
    """Device half, link and edge half: the system of Fig. 1. Images to logits."""

    def __init__(self, network: Network, pool: int, link: Link):
        super().__init__()
        self.device_half, self.edge_half = structure.split(network, pool)
        self.link = link

    def feature_shape(self, image: tuple[int, int, int] = (3, 32, 32)) -> tuple[int, int, int]:
        """(C, H, W) of the feature map at the split of an image of this shape."""
        return structure.feature_shape(self.device_half, image)

    def transmit(self, images: torch.Tensor) -> torch.Tensor:
        """What the device puts on the channel: [N, symbol_channels, h, w]."""
        return self.link.encode(self.device_half(images))

    def receive(self, symbols: torch.Tensor) -> torch.Tensor:
        """Noise, decoder and edge half: symbols to logits [N, classes]."""
        return self.edge_half(self.link.decoder(self.link.channel(symbols)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.receive(self.transmit(images))
