"""A real Ray cluster of several nodes on this machine, one a test module."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.helpers.cluster_helpers import OBJECTS, add_node


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A head without GPUs and a node that declares two; this program is connected."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Else a busy machine starves the workers and not the tests.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray's own spelling)
    health = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"num_cpus": 0, "object_store_memory": OBJECTS, "include_dashboard": False, "_system_config": health}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        add_node(made, num_gpus=2, resources={"trainer": 1})
        ray.init(address=made.address, logging_level="ERROR", log_to_driver=False)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
