"""Mutations of the bytes of a file. Each is a function of the bytes and of a random generator."""

import random
import re
from collections.abc import Callable, Mapping

STRANGE_TEXTS = (
    "\ufeff",
    "\u202e",
    "\x00",
    "é",
    "e\u0301",
    "猫",
    "🐈",
    " ",
    "\n",
    "\r\n",
    "\t",
    '"',
    "'",
    ",",
    ";",
    ":",
    "#",
    "<",
    "&",
    "\\",
    "../",
)
STRANGE_NUMBERS = (
    "-1",
    "0",
    "1e400",
    "NaN",
    "99999999999999999999",
    "4294967296",
    "0.5",
    "1e-400",
    "٣",
    "0x10",
    "1_000",
    "true",
    "null",
    '"1"',
)


def flip(content: bytes, rng: random.Random) -> bytes:
    """Changes one bit in each of one to eight bytes."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def empty(content: bytes, rng: random.Random) -> bytes:
    return b""


def swap(content: bytes, rng: random.Random) -> bytes:
    """Exchanges two neighbouring parts."""
    first, second, third = sorted(rng.randrange(len(content) + 1) for _ in range(3))
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def repeat(content: bytes, rng: random.Random) -> bytes:
    """Writes a part twice."""
    first, second = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:second] + content[first:]


def erase(content: bytes, rng: random.Random) -> bytes:
    """Overwrites a part with zeros, as a file system does after a crash."""
    first, second = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:first] + bytes(second - first) + content[second:]


def append(content: bytes, rng: random.Random) -> bytes:
    return content + rng.randbytes(rng.randint(1, 64))


def insert_text(content: bytes, rng: random.Random) -> bytes:
    """Inserts a text that programs often stumble over."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(STRANGE_TEXTS).encode() + content[place:]


def replace_number(content: bytes, rng: random.Random) -> bytes:
    """Replaces a number in a text by one that programs often stumble over."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not numbers:
        return insert_text(content, rng)
    number = rng.choice(numbers)
    return content[: number.start()] + rng.choice(STRANGE_NUMBERS).encode() + content[number.end() :]


def swap_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


def repeat_line(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    line = rng.choice(lines)
    lines.insert(rng.randrange(len(lines) + 1), line)
    return b"".join(lines)


def encode_otherwise(content: bytes, rng: random.Random) -> bytes:
    """Writes a text in another encoding, or with other ends of lines."""
    text = content.decode()
    return rng.choice(
        [
            text.encode("utf-16"),
            text.encode("utf-8-sig"),
            text.encode("utf-16-le"),
            text.replace("\n", "\r\n").encode(),
            text.replace("\n", "\r").encode(),
        ]
    )


Mutation = Callable[[bytes, random.Random], bytes]
OF_BYTES: Mapping[str, Mutation] = {
    mutation.__name__: mutation for mutation in (flip, truncate, empty, swap, repeat, erase, append)
}
OF_TEXT: Mapping[str, Mutation] = {
    **OF_BYTES,
    **{mutation.__name__: mutation for mutation in (insert_text, replace_number, swap_lines, repeat_line, encode_otherwise)},
}


def mutate(content: bytes, name: str, rng: random.Random) -> tuple[str, bytes]:
    """A random mutation that changes the file, by the end of the file's name, and the new content."""
    mutations = OF_TEXT if name.endswith((".csv", ".txt", ".xml", ".json", ".yml")) else OF_BYTES
    while True:
        chosen = rng.choice(list(mutations))
        changed = mutations[chosen](content, rng)
        if changed != content:
            return chosen, changed
