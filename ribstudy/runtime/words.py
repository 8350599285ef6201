"""Words of messages and tables."""


def counted(number: float, noun: str) -> str:
    """A number of things, such as "1 training" or "1,200 images"."""
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"
