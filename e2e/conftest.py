# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one server for the whole run, fresh buckets for each test, and a second server for
tests that damage, restart or overload it."""

import pytest

import clients
import rawhttp
from compat import (  # noqa: F401 (hooks)
    pytest_addoption, pytest_collection_modifyitems, pytest_deselected, pytest_runtest_logreport,
    pytest_runtest_setup,
)
from compat_s3 import S3
from strongroom import Server, resolve_localhost_names

resolve_localhost_names()
rawhttp.OBSERVERS.append(S3.by_hand)

BLOCKED = "because this bucket has blocked upload requests"


@pytest.fixture(scope="session")
def server():
    """Debug log, so that tests of the log see all that can be in it. Archives are restored at once:
    what takes its time is tested on servers of its own."""
    flags = ["--domain", "localhost", "--domain", clients.VIRTUAL_DOMAIN,
             "--restore-delay-seconds", "0"]
    with Server(*flags) as running:
        yield running
        log = running.log()
        assert "panicked" not in log, log[log.index("panicked") - 500:][:2000]


@pytest.fixture
def make_server():
    """Starts servers of a test's own."""
    started = []

    def make(*flags, **options):
        started.append(Server(*flags, **options).start())
        return started[-1]

    yield make
    for one in started:
        log = one.log()
        one.remove()
        assert "panicked" not in log, log[log.index("panicked") - 500:][:2000]


@pytest.fixture(scope="session")
def s3(server):
    return clients.s3(server)


@pytest.fixture(scope="session")
def s3_http(server):
    return clients.s3(server, "http")


@pytest.fixture(scope="session")
def kms(server):
    return clients.kms(server)


@pytest.fixture(scope="session")
def raw(server):
    """Signed requests by hand, over HTTPS."""
    return rawhttp.Client(server)


@pytest.fixture(scope="session")
def raw_http(server):
    return rawhttp.Client(server, "http")


@pytest.fixture
def bucket(request, s3):
    """A new bucket, which refuses customer keys unless the test wears `pytest.mark.sse_c`."""
    name = clients.make_bucket(s3, sse_c=request.node.get_closest_marker("sse_c") is not None)
    yield name
    clients.empty_and_delete(s3, name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Says what a test forgot which writes under a customer key into a new bucket."""
    report = yield
    if report.failed and BLOCKED in str(report.longrepr):
        report.sections.append(("hint", (
            "new buckets refuse customer keys (SSE-C): mark the test or its module with "
            "`pytest.mark.sse_c`, or make the bucket with `clients.make_bucket(s3, sse_c=True)`"
        )))
    return report


@pytest.fixture(scope="session")
def kms_key(kms):
    """An enabled KMS key with an alias: id, ARN, alias and alias ARN."""
    made = kms.create_key(Description="e2e")["KeyMetadata"]
    alias = "alias/e2e-matrix"
    kms.create_alias(AliasName=alias, TargetKeyId=made["KeyId"])
    arn = made["Arn"]
    return {
        "id": made["KeyId"], "arn": arn, "alias": alias,
        "alias_arn": arn.rsplit(":", 1)[0] + ":" + alias,
    }
