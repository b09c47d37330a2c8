"""Where a text lies among others: a small stand-in for a language model that needs no network."""

from __future__ import annotations

import math
import re
from hashlib import blake2b

from shop.models import DIMENSIONS


def embed(text: str) -> list[float]:
    """A unit vector in which every word pulls one dimension up or down; shared words bring texts together."""
    vector = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        digest = int.from_bytes(blake2b(word.encode(), digest_size=4).digest())
        vector[digest % DIMENSIONS] += 1 if digest & 0x8000_0000 else -1
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else [1.0, *vector[1:]]
