"""The basis of all settings: types with a range, sections that reject unknown names, and errors that name the bad value."""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError

from ribstudy.runtime.paths import expanded

LONGEST_VALUE = 100  # characters of a value in a message
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
NUMBER = re.compile(r"[-+]?[0-9][0-9_,:. ]*")

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Scale = Annotated[float, Field(gt=0, le=10)]  # an image a hundred times as large would need more memory than machines have
Scales = Annotated[tuple[Scale, ...], Strict(False), Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # torch takes no larger ones


def _rising(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError(f"the first of {values} must not be above the second")
    return values


Range = Annotated[tuple[Count, Count], Strict(False), AfterValidator(_rising)]
FactorRange = Annotated[tuple[Positive, Positive], Strict(False), AfterValidator(_rising)]


def _given_path(value: Any) -> Any:
    return expanded(value) if isinstance(value, str | Path) else value


def _given_weights(value: Any) -> Any:
    return str(expanded(value)) if isinstance(value, str) and value != IMAGENET else value


IMAGENET = "imagenet"
GivenPath = Annotated[Path, Strict(False), BeforeValidator(_given_path)]  # absolute, without ~
Weights = Annotated[str, BeforeValidator(_given_weights)]  # "imagenet", or the path of a state dict


def added(default: Any, description: str) -> Any:
    """A field that was added after results had been published.

    At its default it is not part of the section's dump, and so not of a key: results from before the field keep their keys.
    """
    return Field(default, description=description, exclude_if=lambda value: value == default)


class Section(BaseModel):
    """A group of settings. It is immutable and rejects unknown names and values of a wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())

    def __dir__(self) -> list[str]:
        """Only the names of settings, which an editor offers to complete `chapter.settings`."""
        return list(type(self).model_fields)


def validate(model: type[Section], values: dict[str, Any], *, what: str) -> Any:
    """`model(**values)`; raises a ValueError that gives the dotted name, the value and the problem of each bad setting."""
    try:
        return model(**values)
    except ValidationError as error:
        problems = [_explain(model, problem) for problem in error.errors() if problem["type"] != "missing"]
        missing = [_dotted(problem) for problem in error.errors() if problem["type"] == "missing"]
        if missing:
            is_or_are = "is" if len(missing) == 1 else "are"
            problems.append(f"{', '.join(missing)} {is_or_are} missing")
        raise ValueError(f"{what}: " + "; ".join(problems)) from None


def section_of(model: type[Section], name: str) -> type[Section] | None:
    """The section that a name of `model` stands for; None for a single setting and for an unknown name."""
    field = model.model_fields.get(name)
    kinds = () if field is None else (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)


def _dotted(problem: dict) -> str:
    return ".".join(str(part) for part in problem["loc"]) or "settings"


def _explain(model: type[Section], problem: dict) -> str:
    name, value = _dotted(problem), problem["input"]
    if problem["type"] == "extra_forbidden":
        known = _field_names(model, problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return f"{name} is unknown" + (f", did you mean {near[0]}?" if near else f"; known: {', '.join(known)}")
    if problem["type"] == "model_type":
        return f"{name} = {_shortened(value)}: expected settings by name" + (
            " (remove an empty section)" if value is None else ""
        )
    message = problem["msg"].removeprefix("Value error, ")
    return f"{name}: {message}" if isinstance(value, dict) else f"{name} = {_shortened(value)}: {message}{_hint(problem)}"


def _hint(problem: dict) -> str:
    """How the value was probably meant; "" if that is not clear."""
    kind, value = problem["type"], problem["input"]
    if kind == "bool_type" and isinstance(value, str):
        return " (write true or false)"
    if kind in ("float_type", "int_type") and isinstance(value, str) and NUMBER.fullmatch(value):
        return " (a number has a decimal point and no other sign between its digits)"
    return " (put a text in quotes)" if kind == "string_type" and isinstance(value, bool | int | float) else ""


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _field_names(model: type[Section], path: tuple) -> list[str]:
    for part in path:
        model = section_of(model, part)
    return list(model.model_fields)


def setting_rows(model: type[Section], prefix: str = "") -> list[tuple[str, str, str]]:
    """(dotted name, allowed values, description) of every setting, including nested sections."""
    rows = []
    for name, field in model.model_fields.items():
        if section := section_of(model, name):
            rows += setting_rows(section, f"{prefix}{name}.")
        else:
            kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            rows.append((f"{prefix}{name}", _values(kind), field.description or ""))
    return rows


def _values(kind: Any) -> str:
    """A type in words: `number >= 0`, `a or b`, `list of whole number >= 1`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        inner, limits = _values(arguments[0]), []
        for limit in arguments[1:]:
            for part in (limit, *getattr(limit, "metadata", ())):
                limits += [
                    f"{sign} {getattr(part, name)}" for name, sign in SIGNS.items() if getattr(part, name, None) is not None
                ]
        return " ".join([inner, " and ".join(dict.fromkeys(limits))]).strip()
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (tuple, list):
        return f"list of {_values(arguments[0])}"
    if arguments:
        return " or ".join(dict.fromkeys(_values(part) for part in arguments)) if _is_union(kind) else str(kind)
    return {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "path", type(None): "null"}.get(
        kind, str(kind)
    )


def _is_union(kind: Any) -> bool:
    return get_origin(kind) is Union or type(kind).__name__ == "UnionType"
