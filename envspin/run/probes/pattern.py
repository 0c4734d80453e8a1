"""A regular expression that is compiled once, when it is first needed."""

from __future__ import annotations

import re
from functools import cached_property

from envspin.run.probes.base import Hopeless


class Pattern:
    """What a probe looks for in a text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def is_in(self, text: str) -> bool:
        """Tell whether the pattern is found anywhere in ``text``; raise Hopeless if it is no regular expression."""
        return self._compiled.search(text) is not None

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        try:
            return re.compile(self._text)
        except re.error as error:
            raise Hopeless(f"/{self._text}/ is no regular expression: {error}") from error
