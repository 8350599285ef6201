"""The basis of all settings: types with a range, sections that reject unknown names, and errors that name the bad value."""

import difflib
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Scales = Annotated[tuple[Positive, ...], Strict(False), Field(min_length=1)]
Seed = Annotated[int, Field(ge=0)]


def _rising(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError(f"the first of {values} must not be above the second")
    return values


Range = Annotated[tuple[Count, Count], Strict(False), AfterValidator(_rising)]
FactorRange = Annotated[tuple[Positive, Positive], Strict(False), AfterValidator(_rising)]


class Section(BaseModel):
    """A group of settings. It is immutable and rejects unknown names and values of a wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


def validate(model: type[Section], values: dict[str, Any], *, what: str) -> Any:
    """`model(**values)`; raises a ValueError that gives the dotted name, the value and the problem of each bad setting."""
    try:
        return model(**values)
    except ValidationError as error:
        problems = [_explain(model, problem) for problem in error.errors()]
        raise ValueError(f"{what}: " + "; ".join(problems)) from None


def _explain(model: type[Section], problem: dict) -> str:
    name = ".".join(str(part) for part in problem["loc"]) or "settings"
    if problem["type"] == "extra_forbidden":
        known = _field_names(model, problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return f"{name} is unknown" + (f", did you mean {near[0]}?" if near else f"; known: {', '.join(known)}")
    return f"{name} = {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}"


def _field_names(model: type[Section], path: tuple) -> list[str]:
    for part in path:
        annotation = model.model_fields[part].annotation
        options = getattr(annotation, "__args__", (annotation,))
        model = next(option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
    return list(model.model_fields)
