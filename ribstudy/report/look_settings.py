"""The settings of the methods that `look` applies to photographs."""

from collections.abc import Mapping

from ribstudy.method.settings import AdvCamSettings, BaselineSettings, RibSettings

Settings = RibSettings | AdvCamSettings | BaselineSettings

# We chose these values without masks, by a rule that we wrote down after we had seen the curves. Learning rate: the largest of
# 5e-5, 7.5e-5, 1e-4 and 1.5e-4 at which the pooled logit ends within a tenth of its peak on all seven installed photographs
# except the cat of the front page (rocket as "missile", flower as "daisy", the others with their top class). At 1.5e-4 four of
# them drop further, and their maps spread into the background. Even at 1e-4, the rocket's own top class "drilling platform"
# ends at 0.81 of its peak, and the cat, whose region below tau becomes tiny, at 0.47.
# There is no spread stop, because an object may fill a photograph, as the cat does.
LOOK_SETTINGS = RibSettings(iterations=10, learning_rate=1e-4, spread_ratio=1.0, scales=(1.0,), loss_scales=(1.0,))

# All steps at once, in a sixth of the time. On the eight installed photographs, its maps correlate with RIB's by 0.99 or
# more. But the regions inside the line share only 0.74 to 0.97 of their union, and no steps show the map grow. So "rib" stays
# the default.
FAST_SETTINGS = RibSettings(mode="fast", learning_rate=LOOK_SETTINGS.learning_rate, scales=LOOK_SETTINGS.scales)

# By the names that `--method` takes. AdvCAM sums as many maps as RIB. LayerCAM combines the two ends of the trained part.
METHODS: Mapping[str, Settings] = {
    "rib": LOOK_SETTINGS,
    "rib-fast": FAST_SETTINGS,
    "cam": BaselineSettings(method="cam"),
    "gradcam": BaselineSettings(method="gradcam"),
    "gradcam++": BaselineSettings(method="gradcam++"),
    "layercam": BaselineSettings(method="layercam", layers=("frozen", "trained")),
    "advcam": AdvCamSettings(iterations=LOOK_SETTINGS.iterations),
}
TITLES = {
    "rib": "RIB",
    "rib-fast": "fast RIB",
    "cam": "CAM",
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "layercam": "LayerCAM",
    "advcam": "AdvCAM",
}


def title_of(settings: Settings) -> str:
    """The name of a method as figures print it, given its settings."""
    if isinstance(settings, RibSettings):
        return TITLES["rib" if settings.path == "steps" else "rib-fast"]
    return TITLES["advcam" if isinstance(settings, AdvCamSettings) else settings.method]
