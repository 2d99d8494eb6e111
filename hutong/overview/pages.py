"""The metrics pages of the services, read and added up: a name and labels in, a number out.

Neighbours: ``services`` fetches, ``agreements`` asks for figures by name; ``docs/metrics.md`` lists the names.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from hutong.overview.services import fetch

__all__ = ["Labels", "Page", "Pages", "parse", "read_pages"]

Labels = tuple[str, ...]
"""Values of the labels that were asked for, in the order of asking."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One process's metrics.

    Attributes:
        samples: name of a sample -> its labels and values.
    """

    samples: Mapping[str, tuple[tuple[Mapping[str, str], float], ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pages:
    """All pages as of one moment.

    Attributes:
        at: seconds of a monotonic clock.
        by_url: base URL of the process -> its page; those that did not answer are missing.
    """

    at: float
    by_url: Mapping[str, Page] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether any page has samples of this name."""
        return any(name in page.samples for page in self.by_url.values())

    def total(self, name: str, *labels: str) -> dict[Labels, float]:
        """The samples added up over all pages and all labels that are not asked for."""
        found: dict[Labels, float] = {}
        for page in self.by_url.values():
            for values, number in _picked(page, name, labels):
                found[values] = found.get(values, 0.0) + number
        return found

    def rates(self, before: Pages | None, name: str, *labels: str) -> dict[Labels, float]:
        """How fast a counter grew since an earlier look, a second; empty without one.

        A counter that is smaller than before began anew with its process; a process that was not there before shows what it
        does from the next look on.
        """
        if before is None or self.at <= before.at:
            return {}
        found: dict[Labels, float] = {}
        for url, page in self.by_url.items():
            if url not in before.by_url:
                continue
            earlier: dict[Labels, float] = {}
            for values, number in _picked(before.by_url[url], name, labels):
                earlier[values] = earlier.get(values, 0.0) + number
            now: dict[Labels, float] = {}
            for values, number in _picked(page, name, labels):
                now[values] = now.get(values, 0.0) + number
            for values, number in now.items():
                was = earlier.get(values, 0.0)
                grown = number - was if number >= was else number
                found[values] = found.get(values, 0.0) + grown / (self.at - before.at)
        return found


def _picked(page: Page, name: str, labels: tuple[str, ...]) -> Iterator[tuple[Labels, float]]:
    for found, number in page.samples.get(name, ()):
        yield tuple(found.get(label, "") for label in labels), number


def parse(text: str) -> Page:
    """A page of Prometheus text.

    Raises:
        ValueError: it is none.
    """
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("hutong_"):
                samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return Page(samples={name: tuple(found) for name, found in samples.items()})


def read_pages(urls: Iterable[str], *, at: float) -> Pages:
    """Read the metrics of every process, all at once; one that does not answer is left out.

    Args:
        urls: base URLs, or those of the metrics pages themselves.
        at: the moment, in seconds of a monotonic clock.
    """
    bases = sorted({url.rstrip("/").removesuffix("/metrics") for url in urls})
    if not bases:
        return Pages(at=at)
    with ThreadPoolExecutor(min(16, len(bases))) as pool:
        found = dict(zip(bases, pool.map(_page, bases), strict=True))
    return Pages(at=at, by_url={url: page for url, page in found.items() if page is not None})


def _page(base: str) -> Page | None:
    try:
        return parse(fetch(f"{base}/metrics").decode("utf-8", "replace"))
    except (OSError, ValueError, http.client.HTTPException):
        return None
