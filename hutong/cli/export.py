"""``hutong export``: the declarations in the words of public standards, as text or files. Needs no bus.

What it writes is the same wherever it is run: the bus's address comes from the options and the environment, and is a placeholder
else. Neighbours: ``hutong/export`` makes the documents, one file per kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import click

from hutong.catalogue.catalogue import Catalogue
from hutong.cli import _complete
from hutong.cli._json import json_option, print_json
from hutong.cli.check import schemas_option
from hutong.cli.plan import right_catalogue
from hutong.control.desired import Layout
from hutong.errors import ConfigurationError
from hutong.export import asyncapi as asyncapi_
from hutong.export import picture as picture_
from hutong.export import strimzi as strimzi_
from hutong.export.bus import PLACEHOLDER, Bus
from hutong.export.odcs import contract_document
from hutong.export.odcs_delivery import delivery_document
from hutong.export.openlineage import events
from hutong.export.svg import svg
from hutong.export.text import json_lines, json_text, yaml_text
from hutong.language import LANGUAGES, chosen, said

__all__ = ["command"]

F = TypeVar("F", bound=Callable[..., Any])

_VIEW = (
    click.option("--recipient", help="Only what this department receives.", shell_complete=_complete.departments),
    click.option("--contract", help="Only this contract.", shell_complete=_complete.contracts),
)
_PLACE = (
    click.option(
        "--bootstrap-servers",
        envvar="HUTONG_KAFKA_BOOTSTRAP_SERVERS",
        show_envvar=True,
        default=PLACEHOLDER,
        show_default=True,
        help="The brokers that the documents name.",
    ),
    click.option("--registry-url", envvar="HUTONG_REGISTRY_URL", show_envvar=True, help="The registry that the documents name."),
    click.option(
        "--security-protocol",
        envvar="HUTONG_KAFKA_SECURITY_PROTOCOL",
        show_envvar=True,
        type=click.Choice(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        default="SASL_SSL",
        show_default=True,
        help="How clients connect.",
    ),
    click.option(
        "--partitions",
        envvar="HUTONG_PARTITIONS",
        show_envvar=True,
        type=click.IntRange(1, 200),
        help="Partitions of the topics; left out unless given.",
    ),
)


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _out(help_: str) -> Callable[[F], F]:
    return click.option("--out", type=click.Path(path_type=Path), help=help_)


def _bus(options: Mapping[str, Any]) -> Bus:
    catalogue = right_catalogue(options["schemas"])
    return Bus.of(
        catalogue,
        brokers=options["bootstrap_servers"],
        registry_url=options["registry_url"],
        secure=options["security_protocol"] != "PLAINTEXT",
        partitions=options["partitions"],
        recipient=options["recipient"],
        contract=options["contract"],
    )


@click.group(short_help="Write the declarations in the words of public standards.")
def command() -> None:
    """Write the declarations in the words of public standards, for tools that know those.

    Without --out the document is printed. Exit code 0: done; 2: wrong use, or wrong declarations.
    """


@command.command(short_help="AsyncAPI 3.0: who sends and receives what, where.")
@_options(schemas_option, *_VIEW, *_PLACE, _out("A .yaml or .json file."), json_option)
def asyncapi(out: Path | None, as_json: bool, **options: Any) -> None:
    """AsyncAPI 3.0: who sends and who receives what, over which topics, in which schemas.

    With --recipient it holds what that department is granted and nothing more, so that it may be handed over.
    """
    document = asyncapi_.document(_bus(options))
    if out is None:
        _print(yaml_text([document]), {"document": document}, as_json=as_json)
    else:
        _write({out: json_text(document) if out.suffix == ".json" else yaml_text([document])}, as_json=as_json)


@command.command(short_help="ODCS v3.1: every contract, completed.")
@_options(schemas_option, *_VIEW, *_PLACE, _out("A directory (a file each), or one .yaml file."), json_option)
def odcs(out: Path | None, as_json: bool, **options: Any) -> None:
    """Open Data Contract Standard v3.1: every contract, completed with what the bus knows.

    With --recipient: what that department gets, one data contract per agreement.
    """
    bus = _bus(options)
    if bus.recipient:
        documents = {one.id: delivery_document(bus, one) for one in bus.agreements}
    else:
        documents = {one.name: contract_document(bus, one) for one in bus.contracts}
    if out is None:
        _print(yaml_text(documents.values()), {"contracts": list(documents.values())}, as_json=as_json)
    elif out.suffix in (".yaml", ".yml"):
        _write({out: yaml_text(documents.values())}, as_json=as_json)
    else:
        _write({out / f"{name}.odcs.yaml": yaml_text([one]) for name, one in documents.items()}, as_json=as_json)


@command.command(short_help="OpenLineage: which field comes from which.")
@_options(schemas_option, *_VIEW, *_PLACE, _out("A file, a JSON event per line."), json_option)
def openlineage(out: Path | None, as_json: bool, **options: Any) -> None:
    """OpenLineage: topics as datasets, agreements as jobs, and which field comes from which; one JSON event per line."""
    producer = f"urn:hutong:export:{_version()}"
    documents = list(events(_bus(options), moment=datetime.now(UTC), producer=producer))
    if out is None:
        _print(json_lines(documents), {"events": documents}, as_json=as_json)
    else:
        _write({out: json_lines(documents)}, as_json=as_json)


@command.command(short_help="Who sends what to whom, as Mermaid or SVG.")
@_options(schemas_option, *_VIEW, _out("An .svg file, or one for Mermaid's text."), json_option)
@click.option("--style", type=click.Choice(["mermaid", "svg"]), help="By default as the file's name says, else mermaid.")
@click.option("--lang", type=click.Choice(LANGUAGES), help="Language of the names; by default HUTONG_LANG's.")
def picture(
    schemas: Path,
    recipient: str | None,
    contract: str | None,
    out: Path | None,
    style: str | None,
    lang: str | None,
    as_json: bool,
) -> None:
    """Who sends what to whom, as a Mermaid flowchart or an SVG picture; pointing at a line of that tells its legal basis."""
    bus = Bus.of(right_catalogue(schemas), recipient=recipient, contract=contract)
    scene = picture_.scene(bus, lang or chosen())
    as_svg = style == "svg" or (style is None and out is not None and out.suffix == ".svg")
    text = svg(scene) if as_svg else picture_.mermaid(scene)
    if out is None:
        _print(text, picture_.graph(bus), as_json=as_json)
    else:
        _write({out: text}, as_json=as_json)


@command.command(short_help="Strimzi: topics and users for Kubernetes.")
@_options(schemas_option, _out("A .yaml file."), json_option)
@click.option("--brokers", type=click.IntRange(1), default=3, show_default=True, help="How many brokers the cluster has.")
@click.option(
    "--partitions",
    envvar="HUTONG_PARTITIONS",
    show_envvar=True,
    type=click.IntRange(1, 200),
    help="Partitions of the topics; by default two per broker.",
)
@click.option("--cluster", default=strimzi_.CLUSTER, show_default=True, help="Name of the Kafka resource.")
def strimzi(schemas: Path, out: Path | None, brokers: int, partitions: int | None, cluster: str, as_json: bool) -> None:
    """Strimzi: a KafkaTopic for each topic, a KafkaUser with its access rules for each department and service."""
    catalogue: Catalogue = right_catalogue(schemas)
    layout = Layout(brokers=brokers, asked_partitions=partitions)
    documents: Sequence[dict[str, Any]] = list(strimzi_.documents(catalogue, layout, cluster=cluster))
    if out is None:
        _print(yaml_text(documents), {"resources": documents}, as_json=as_json)
    else:
        _write({out: yaml_text(documents)}, as_json=as_json)


def _print(text: str, document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        click.echo(text, nl=False)


def _write(files: Mapping[Path, str], *, as_json: bool) -> None:
    """Write what is not there like that already, and say so."""
    stale: list[Path] = []
    for path, text in files.items():
        try:
            if path.is_file() and path.read_bytes() == text.encode():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}; name another place with --out") from None
        stale.append(path)
    if as_json:
        print_json({"files": [{"path": str(path), "state": "written" if path in stale else "unchanged"} for path in files]})
    elif len(files) == 1:
        _tell_one(next(iter(files)), stale)
    else:
        click.echo(said("{files} files, {written} of them written", files=len(files), written=len(stale)))


def _tell_one(path: Path, stale: Iterable[Path]) -> None:
    click.echo(said("{path}: written", path=path) if path in stale else said("{path}: unchanged", path=path))


def _version() -> str:
    try:
        return metadata.version("hutong")
    except metadata.PackageNotFoundError:
        return "unknown"
