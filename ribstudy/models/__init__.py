"""Networks whose output is a class map."""

from ribstudy.models.cam_net import CamNet, build_cam_net

__all__ = ["CamNet", "build_cam_net"]
