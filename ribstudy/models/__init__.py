"""Networks whose output is a class map."""

from ribstudy.models.cam_net import CamNet, build_cam_net
from ribstudy.models.kernels import use_exact_kernels, use_fast_convolutions

__all__ = ["CamNet", "build_cam_net", "use_exact_kernels", "use_fast_convolutions"]
