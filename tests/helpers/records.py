"""Records of chapters with given numbers."""

import json


def write_record(folder, chapter, preset, **numbers):
    """numbers: by name (value, low, high, n)."""
    found = {name: dict(zip(("value", "low", "high", "n"), number, strict=True)) for name, number in numbers.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{chapter}.{preset}.json").write_text(json.dumps(found))
