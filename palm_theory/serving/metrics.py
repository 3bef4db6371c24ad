"""Prometheus metrics of one server, in a registry of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from palm_theory.serving.routing import Decision

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
ROUTING_SECONDS = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
REGRET = (0.0, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
NO_POLICY = "none"


class Metrics:
    """Counts and times of requests, by policy. ``in_flight``, ``queued`` and ``running`` are read when scraped."""

    def __init__(self, in_flight: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "palm_requests",
            "Answered requests; status 499 where the client went away.",
            ("endpoint", "policy", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "palm_request_seconds",
            "From the request's headers to the end of its answer.",
            ("endpoint", "policy"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._routing = Histogram(
            "palm_routing_seconds",
            "From the parsed body to the policy.",
            buckets=ROUTING_SECONDS,
            registry=self.registry,
        )
        self._regret = Histogram(
            "palm_predicted_regret",
            "Predicted gap of the policy at the request's weights, in the unit of the rewards, where one is known.",
            ("policy",),
            buckets=REGRET,
            registry=self.registry,
        )
        self._unknown = Counter(
            "palm_unknown_regret", "Requests whose gap is unknown.", ("policy",), registry=self.registry
        )
        self._sources = Counter(
            "palm_weights", "Requests by where their weights came from.", ("source",), registry=self.registry
        )
        Gauge("palm_in_flight", "Requests being answered or waiting.", registry=self.registry).set_function(in_flight)
        # Looking a child up by its labels takes a lock and a tuple each time; there are few.
        self._of = cache(self._children)

    def _children(self, endpoint: str, policy: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(endpoint, policy, str(status)), self._seconds.labels(endpoint, policy)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when scraped."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def routed(self, decision: Decision, seconds: float) -> None:
        """Count a decision."""
        self._routing.observe(seconds)
        self._sources.labels(decision.source).inc()
        if decision.gap is not None and math.isfinite(decision.gap.value):
            self._regret.labels(decision.name).observe(decision.gap.value)
        else:
            self._unknown.labels(decision.name).inc()

    def answered(self, endpoint: str, policy: str | None, status: int, seconds: float) -> None:
        """Count an answer."""
        count, times = self._of(endpoint, policy or NO_POLICY, status)
        count.inc()
        times.observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
