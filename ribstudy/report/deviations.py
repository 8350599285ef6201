"""The table of choices in which the reference code deviates from the paper, or that the paper does not mention."""

import pandas as pd
from pandas.io.formats.style import Styler

from ribstudy.config import Settings
from ribstudy.workflow.variants import every_variant, in_words


def deviations_table(settings: Settings) -> Styler:
    """A row for each choice, named after its ablation; a dash if the paper does not mention it."""
    chosen = [variant for variant in every_variant(settings) if variant.deviates]
    rows = [
        {"setting": v.setting, "code": in_words(v.code), "paper": in_words(v.paper), "ablation": in_words(v.value)}
        | {"what it decides": v.about}
        for v in chosen
    ]
    table = pd.DataFrame(rows, index=[v.name for v in chosen])
    return table.style.set_uuid("deviations").set_table_attributes('class="dataframe"')
