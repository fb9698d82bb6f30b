"""DeepJSCC [8]: the image itself sent as symbols, the whole network on the edge server."""

from torch import nn

from lib import InputError
from lib.codec import GDN, Link, Pipeline


def image_link(bandwidth: int, snr_db: float, gdn: bool = True) -> Link:
    """DeepJSCC [8] for 32×32 images: a Link of `bandwidth` real symbols, normalised images to normalised images.

    Five 5×5 convolutions (16, 32, 32, 32, c filters, the first two with stride 2) and their mirror image, each
    with GDN and PReLU except the last, which is linear; [8] has no GDN, and a sigmoid at the end.
    Raises InputError unless the bandwidth is a multiple of 64.
    """
    # Two convolutions of stride 2 leave 8×8 pixels, one symbol each in every filter.
    if bandwidth < 1 or bandwidth % 64:
        raise InputError(f"DeepJSCC sends a positive multiple of 64 symbols (64, 128, 192, …), not {bandwidth}.")

    def block(inputs, outputs, stride, inverse):
        kernel = {"kernel_size": 5, "stride": stride, "padding": 2}
        # `output_padding` makes a transposed convolution double the side exactly.
        convolution = (nn.ConvTranspose2d(inputs, outputs, output_padding=stride - 1, **kernel) if inverse
                       else nn.Conv2d(inputs, outputs, **kernel))
        # A PReLU for each block. As a default argument it would be shared by all, as in
        # Deep-JSCC-PyTorch.
        return [convolution, GDN(outputs, inverse) if gdn else nn.Identity(), nn.PReLU()]

    widths = (3, 16, 32, 32, 32, bandwidth // 64)
    layers = list(zip(widths, widths[1:], (2, 2, 1, 1, 1), strict=False))
    encoder = [module for i, o, stride in layers for module in block(i, o, stride, inverse=False)]
    decoder = [module for i, o, stride in reversed(layers) for module in block(o, i, stride, inverse=True)]
    # Without the last GDN and PReLU: pixels that are normalised have both signs and no bound.
    return Link(nn.Sequential(*encoder), nn.Sequential(*decoder[:-2]), snr_db)


class ImagePipeline(Pipeline):
    """The image itself through a link, then the whole network on the edge: normalised images to logits."""

    def __init__(self, network: nn.Module, link: Link):
        # Not Pipeline's own, which would split the network.
        nn.Module.__init__(self)
        self.device_half, self.edge_half, self.link = nn.Identity(), network, link
