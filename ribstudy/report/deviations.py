"""The table of choices in which the reference code deviates from the paper, or that the paper does not mention."""

from html import escape

import pandas as pd
from IPython.display import HTML

from ribstudy.config import Settings
from ribstudy.report.tables import to_html
from ribstudy.settings import setting_rows
from ribstudy.workflow.variants import every_variant, in_words


def deviations_table(settings: Settings) -> HTML:
    """A row for each choice with the name of its ablation; a dash if the paper does not mention it."""
    about = {name: text for name, _, text in setting_rows(Settings)}
    rows = {
        variant.name: {
            "what it decides": f"{escape(about[variant.setting])}<br><small><code>{variant.setting}</code></small>",
            "code": in_words(variant.code),
            "paper": in_words(variant.paper),
            "ablation": in_words(variant.value),
        }
        for variant in every_variant(settings)
        if variant.deviates
    }
    return HTML(to_html(pd.DataFrame.from_dict(rows, orient="index").rename_axis("choice")))
