"""Where a service's spans go: to an OpenTelemetry collector, over OTLP/HTTP, as OpenTelemetry's own variables say.

``OTEL_EXPORTER_OTLP_ENDPOINT`` and the like are read by OpenTelemetry itself. Without ``HUTONG_TRACING`` nothing here imports
anything. Neighbour: ``hutong.tracing`` makes the spans.
"""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import TYPE_CHECKING

from hutong.errors import ConfigurationError
from hutong.runtime.settings import ServiceSettings
from hutong.tracing import VARIABLE, Spans, spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["Tracing"]

_FLUSH_SECONDS = 2.0  # what a collector does not take by then is lost; the process must end in time


class Tracing:
    """The tracing of one process.

    Args:
        own: names the service and the instance.

    Attributes:
        spans: makes spans; None where nobody asked.

    Raises:
        ConfigurationError: spans are asked for, and OpenTelemetry is not installed.
    """

    def __init__(self, own: ServiceSettings) -> None:
        self.spans: Spans | None = spans()
        self._provider = None if self.spans is None else _provider(own)

    def close(self) -> None:
        """Send what is waiting; no longer than a moment."""
        if self._provider is None:
            return
        # The exporter tries again for as long as it likes; a thread of its own cannot keep the process.
        last = threading.Thread(target=self._provider.force_flush, name="last spans", daemon=True)
        last.start()
        last.join(_FLUSH_SECONDS)


def _provider(own: ServiceSettings) -> TracerProvider:
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigurationError(f"{VARIABLE} is set and OpenTelemetry's SDK is not here: pip install 'hutong[otel]'") from None
    facts = {"service.name": f"hutong-{own.service}", "service.instance.id": own.instance, "service.version": version("hutong")}
    provider = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider
