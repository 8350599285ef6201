"""The names of the 1,000 ImageNet classes: listed, searched, and turned into indices."""

import difflib
from collections import Counter
from functools import cache

from ribstudy.runtime import torchvision_operators  # noqa: F401  (before timm)

# isort: split
from timm.data import ImageNetInfo


@cache
def class_names() -> tuple[str, ...]:
    """The 1,000 ImageNet classes in the order of the outputs, as comma-separated synonyms.

    Two classes are called "crane"; a description in brackets distinguishes them.
    """
    info = ImageNetInfo()
    names = [info.index_to_description(index) for index in range(info.num_classes())]
    count = Counter(names)
    glosses = (info.index_to_description(index, detailed=True).partition(": ")[2] for index in range(len(names)))
    return tuple(f"{name} ({gloss})" if count[name] > 1 else name for name, gloss in zip(names, glosses, strict=True))


def search_classes(text: str) -> list[str]:
    """The ImageNet classes whose name contains `text`, else with a similar name. Raises ValueError if there are none."""
    found = [name for name in class_names() if text.casefold() in name.casefold()] or _similar_classes(text)
    if not found:
        raise ValueError(f"no ImageNet class has a name that contains {text!r} or is similar to it")
    return found


def class_index(name: str) -> int:
    """The index of a class, given its full name or one of its synonyms, in upper or lower case.

    Raises ValueError for an unknown name, with similar ones, and for a synonym that several classes have.
    """
    wanted = name.strip().casefold()
    full = [index for index, known in enumerate(class_names()) if known.casefold() == wanted]
    found = full or [index for index, known in enumerate(class_names()) if wanted in _synonyms(known)]
    if len(found) == 1:
        return found[0]
    if found:
        either = " or ".join(repr(class_names()[index]) for index in found)
        raise ValueError(f"class {name!r} may mean {either}: pass the full name")
    near = _similar_classes(name) or [known for known in class_names() if wanted and wanted in known.casefold()][:3]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see python -m ribstudy look --search TEXT"
    raise ValueError(f"class {name!r} is unknown to ImageNet; {hint}")


def _synonyms(name: str) -> list[str]:
    return [synonym.strip().casefold() for synonym in name.partition(" (")[0].split(",")]


def _similar_classes(text: str) -> list[str]:
    owners = {synonym: name for name in class_names() for synonym in _synonyms(name)}
    near = difflib.get_close_matches(text.strip().casefold(), owners, n=3, cutoff=0.7)
    return list(dict.fromkeys(owners[synonym] for synonym in near))
