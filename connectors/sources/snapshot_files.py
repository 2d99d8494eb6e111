"""Takes CSV exports as snapshots: ``python -m connectors.sources.snapshot_files --department ... EXPORT.csv``.

For a nightly job: hand it the new export, or all of them in order; what was taken before is left out. Neighbours: ``snapshot``
has the work, this reads the arguments.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.sources._snapshot_metrics import write
from connectors.sources.snapshot import Change, Snapshot, SnapshotSource, csv_rows
from hutong.errors import ConfigurationError, HutongError
from hutong.publisher import Event, Publisher
from hutong.runtime import logs

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the named files, oldest first, and exit; exit code 1 with one line when a file is refused."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logs.configure(f"snapshot-{options.department}")
    try:
        with Publisher(options.department) as publisher:
            source = SnapshotSource(
                publisher,
                contract=options.contract,
                key=options.key.split(","),
                event=_function(options.event),
                state=options.state,
                max_withdrawn=options.max_withdrawn,
                skip_broken=options.skip_broken,
            )
            for file in options.files:
                rows = csv_rows(file, encoding=options.encoding, delimiter=options.delimiter)
                counts = source.take(Snapshot(id=file.stem, rows=rows), trusted=options.trusted)
                told = f"created={counts.created} changed={counts.changed} withdrawn={counts.withdrawn} broken={counts.broken}"
                print(f"{file.name}: {told}")
    except HutongError as problem:
        parser.exit(1, f"{problem}\n")
    finally:
        if options.metrics_file is not None:
            write(options.metrics_file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m connectors.sources.snapshot_files", description="Publish the changes between CSV exports of a table."
    )
    parser.add_argument("files", nargs="+", type=Path, help="exports, oldest first; a file's name without its ending is its id")
    parser.add_argument("--department", required=True, help="the table's department, its Kafka principal too")
    parser.add_argument("--contract", required=True, help="the contract that the changes are published under")
    parser.add_argument("--key", required=True, help="columns that identify a row, comma-separated")
    parser.add_argument("--event", required=True, help="module:function that makes an event's data of a Change, or None")
    parser.add_argument("--state", required=True, type=Path, help="file that remembers what was taken")
    parser.add_argument("--encoding", default="utf-8-sig", help="of the files (default: UTF-8); gb18030 for older systems")
    parser.add_argument("--delimiter", default=",", help="between fields (default: comma)")
    parser.add_argument("--max-withdrawn", type=float, default=0.2, help="refuse a file that lacks a larger share of rows")
    parser.add_argument("--trusted", action="store_true", help="take the files whatever they withdraw")
    parser.add_argument(
        "--metrics-file", type=Path, help="*.prom file for node_exporter's textfile collector; written at the end"
    )
    parser.add_argument("--skip-broken", action="store_true", help="leave out rows that break the contract")
    return parser


def _function(text: str) -> Callable[[Change], Event | None]:
    module, _, name = text.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"--event {text}: there is no such function ({error})") from None
    if not callable(found):
        raise ConfigurationError(f"--event {text}: that is a {type(found).__name__}, not a function")

    def event(change: Change) -> Event | None:
        made: Mapping[str, Any] | None = found(change)
        return made

    return event


if __name__ == "__main__":
    main()
