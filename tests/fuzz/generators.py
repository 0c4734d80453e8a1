"""All generators, and how often each has its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .bombs import bomb
from .cases import chance_for
from .grammar import grammar_file
from .noise import damaged_bytes, random_bytes, random_words
from .structure import changed_structure
from .variables import several_files, variables_soup

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cases import Case, Chance

SHARES: dict[Callable[[Chance], Case], int] = {
    random_bytes: 6,
    random_words: 14,
    damaged_bytes: 20,
    changed_structure: 20,
    grammar_file: 19,
    variables_soup: 10,
    several_files: 10,
    bomb: 1,
}
"""Cases of each kind among a hundred; bombs take as long as all others together."""
_TURNS = [generator for generator, share in SHARES.items() for _ in range(share)]


def generator_of(index: int) -> Callable[[Chance], Case]:
    """Return whose turn it is."""
    return _TURNS[index % len(_TURNS)]


def make_case(seed: int, index: int) -> Case:
    """Return case number ``index`` of a seed: always the same one."""
    generator = generator_of(index)
    return generator(chance_for(seed, generator.__name__, index))
