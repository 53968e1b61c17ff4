"""Language tags: what every input of a language is read to, and the one text that stands for it in files and results."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_CODE = re.compile(
    r"(?P<iso639_3>[a-z]{3})(?:_(?P<script>[A-Z][a-z]{3}))?(?:-(?P<region>[A-Z]{2}|[0-9]{3}))?"
    r"(?P<variants>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)(?:-x-(?P<private>[a-z0-9]{1,8}(?:-[a-z0-9]{1,8})*))?"
)
_PRIVATE = re.compile(r"x-(?P<private>[a-z0-9]{1,8}(?:-[a-z0-9]{1,8})*)")
_RESERVED = re.compile("q[a-t][a-z]")


@dataclass(frozen=True, slots=True)
class LanguageTag:
    """A language as BCP 47 (RFC 5646) takes it apart. Equal tags are the same test language."""

    iso639_3: str | None
    """None where everything is private use: `x-mine`."""
    script: str | None = None
    """ISO 15924, `Latn`; None where nobody knows it."""
    region: str | None = None
    """ISO 3166 or UN M.49: `BR`, `419`."""
    variants: tuple[str, ...] = ()
    """Registered variants, such as `valencia` or `1901`."""
    private: str | None = None
    """Private use without the `x-` in front of it."""

    @property
    def code(self) -> str:
        """The text that stands for it, which `parse` reads.

        >>> LanguageTag("swh", "Latn").code, LanguageTag("por", "Latn", "BR").code, LanguageTag(None, private="mine").code
        ('swh_Latn', 'por_Latn-BR', 'x-mine')
        """
        private = f"x-{self.private}" if self.private else None
        if self.iso639_3 is None:
            return private or ""
        written = f"{self.iso639_3}_{self.script}" if self.script else self.iso639_3
        return "-".join(filter(None, (written, self.region, *self.variants, private)))

    @property
    def language(self) -> LanguageTag:
        """The language and its script alone, without region, variants and private use."""
        return self if self.iso639_3 is None else LanguageTag(self.iso639_3, self.script)

    @property
    def is_private(self) -> bool:
        """Whether its language is one that ISO 639-3 leaves to private use: `x-mine`, `qaa` to `qtz`."""
        return self.iso639_3 is None or _RESERVED.fullmatch(self.iso639_3) is not None

    def with_subtags(self, other: LanguageTag) -> LanguageTag:
        """This language with the region, the variants and the private use of another tag."""
        return replace(self, region=other.region, variants=other.variants, private=other.private)


def parse(code: str) -> LanguageTag | None:
    """The tag of a code; None for another text.

    >>> parse("por_Latn-BR") == LanguageTag("por", "Latn", "BR"), parse("Portuguese")
    (True, None)
    """
    if found := _PRIVATE.fullmatch(code):
        return LanguageTag(None, private=found["private"])
    if not (found := _CODE.fullmatch(code)):
        return None
    variants = tuple(filter(None, found["variants"].split("-")))
    return LanguageTag(found["iso639_3"], found["script"], found["region"], variants, found["private"])
