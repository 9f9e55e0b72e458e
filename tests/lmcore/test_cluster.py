import sys

import pytest

from lmcore import cluster
from lmcore.errors import InputError


def test_the_engine_is_this_machine_unless_the_environment_asks_for_ray(monkeypatch):
    monkeypatch.delenv("LMCORE_ENGINE", raising=False)
    assert not cluster.is_wanted()
    monkeypatch.setenv("LMCORE_ENGINE", "ray")
    assert cluster.is_wanted()
    monkeypatch.setenv("LMCORE_ENGINE", "spark")
    with pytest.raises(InputError, match="LMCORE_ENGINE must be one of local, ray, not 'spark'"):
        cluster.is_wanted()


def test_without_ray_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    cluster._ray.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'lmcore\[ray\]'"):
        cluster.share(1)


def test_hosts_that_compute_with_something_else_are_refused():
    with pytest.raises(
        InputError, match=r"hosts a and b .* differ in torch: 2\.13\.0 and 2\.14\.0"
    ):
        cluster._refuse_other({"torch": "2.13.0"}, {"torch": "2.14.0"}, "hosts a and b")
