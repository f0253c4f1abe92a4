"""What every test may use: real data where it is there, and a cache of encodings of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests, so that none reads or fills the user's."""
    before = os.environ.get("CENOTE_CACHE")
    os.environ["CENOTE_CACHE"] = str(tmp_path_factory.mktemp("encodings"))
    yield
    if before is None:
        del os.environ["CENOTE_CACHE"]
    else:
        os.environ["CENOTE_CACHE"] = before


@pytest.fixture(scope="session")
def cranfield() -> Path:
    """1,400 abstracts on aerodynamics, two of them empty, with 225 questions and judgements."""
    data = os.environ.get("CENOTE_DATA")
    if not data or not (Path(data) / "cranfield").is_dir():
        pytest.skip("CENOTE_DATA does not say where the data is")
    return Path(data) / "cranfield"


@pytest.fixture(scope="module")
def two_machines() -> Iterator[None]:
    """A Ray cluster of two nodes of one core each, both on this machine; this process is part of it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = pytest.importorskip("ray", reason="the extra cenote[cluster] is not installed")
    from ray.cluster_utils import Cluster

    each = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    # a process is started when there is something for it to do
    config = {"prestart_worker_first_driver": False}
    head = each | {"include_dashboard": False, "_system_config": config}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(**each, wait=False)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        cluster.wait_for_nodes()
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()
