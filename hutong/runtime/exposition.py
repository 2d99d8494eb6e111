"""The metrics page, byte for byte as prometheus-client makes it, in a fraction of its time.

A router with ten thousand agreements has a series for each of a dozen buckets of each: the library takes more than a second of
the interpreter for such a page, four times a minute. Whatever is unusual (exemplars, time stamps, names beyond ASCII) is left to
it. Neighbour: ``health`` serves the page.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from typing import Protocol
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.exposition import gzip_accepted as takes_gzip
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

__all__ = ["page", "render"]

_OPENMETRICS = "application/openmetrics-text"
_SCHEMES = ("escaping=dots", "escaping=values")  # schemes under which even a plain name may be written otherwise
_LAST = ("_created", "_gsum", "_gcount")  # Prometheus's own text knows them only as gauges
_SMALL = 1_000_000  # whole numbers below it are written as they are


class _Families(Protocol):
    def collect(self) -> Iterable[Metric]: ...


class _Unusual(Exception):
    pass


def page(registry: CollectorRegistry, query: str, accept: str, encodings: str) -> tuple[dict[str, str], bytes]:
    """The page as a scraper asks for it.

    Args:
        registry: what is shown.
        query: of the address; ``name[]`` chooses some metrics.
        accept: the header ``Accept``.
        encodings: the header ``Accept-Encoding``.

    Returns:
        Headers and body.
    """
    encoder, kind = choose_encoder(accept)
    names = parse_qs(query).get("name[]")
    shown: _Families = registry.restricted_registry(names) if names else registry
    usual = not names and kind.rpartition("; ")[2] not in _SCHEMES
    try:
        body = render(shown.collect(), openmetrics=kind.startswith(_OPENMETRICS)) if usual else encoder(shown)
    except _Unusual:
        body = encoder(shown)
    headers = {"Content-Type": kind}
    if takes_gzip(encodings):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, compresslevel=1)
    return headers, body


def render(families: Iterable[Metric], *, openmetrics: bool) -> bytes:
    """Metrics as text.

    Raises:
        _Unusual: one of them is beyond this function.
    """
    out: list[str] = []
    for family in families:
        out += _openmetrics(family) if openmetrics else _plain(family)
    if openmetrics:
        out.append("# EOF\n")
    return "".join(out).encode()


def _openmetrics(family: Metric) -> Iterator[str]:
    if family.unit:
        raise _Unusual
    yield f"# HELP {_checked(family.name)} {_escaped(family.documentation)}\n# TYPE {family.name} {family.type}\n"
    yield from map(_line, family.samples)


def _plain(family: Metric) -> Iterator[str]:
    kind, name = family.type, _checked(family.name)
    if kind not in ("counter", "gauge", "histogram", "info", "summary"):
        raise _Unusual
    help_text = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
    shown = {"counter": f"{name}_total", "info": f"{name}_info"}.get(kind, name)
    yield f"# HELP {shown} {help_text}\n# TYPE {shown} {'gauge' if kind == 'info' else kind}\n"
    last: dict[str, list[str]] = {}
    ends = {f"{name}{suffix}": suffix for suffix in _LAST}
    for sample in family.samples:
        if sample.name in ends:
            last.setdefault(ends[sample.name], []).append(_line(sample))
        else:
            yield _line(sample)
    for suffix, lines in sorted(last.items()):
        yield f"# HELP {name}{suffix} {help_text}\n# TYPE {name}{suffix} gauge\n"
        yield from lines


def _line(sample: Sample) -> str:
    name, labels, value, timestamp, exemplar, native = sample
    if timestamp is not None or exemplar is not None or native is not None:
        raise _Unusual
    text = f"{value}.0" if type(value) is int and -_SMALL < value < _SMALL else str(floatToGoString(value))  # type: ignore[no-untyped-call]
    if not labels:
        return f"{name} {text}\n"
    if len(labels) > 1:
        told = ",".join([f'{key}="{_escaped(labels[key])}"' for key in sorted(labels)])
        return f"{name}{{{told}}} {text}\n"
    ((key, label),) = labels.items()
    return f'{name}{{{key}="{_escaped(label)}"}} {text}\n'


def _escaped(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return text


def _checked(name: str) -> str:
    if not name.isascii() or not name.isidentifier():
        raise _Unusual
    return name
