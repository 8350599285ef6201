"""Words of messages and tables."""


def counted(number: float, noun: str) -> str:
    """A number of things, such as "1 training" or "1,200 images"."""
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def capitalized(text: str) -> str:
    """The text with its first letter as a capital, and the others as they are."""
    return text[0].upper() + text[1:]
