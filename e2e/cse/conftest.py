# SPDX-License-Identifier: Apache-2.0
"""Fixtures of client-side encryption."""

import pytest

import clients
from peers import World


@pytest.fixture(scope="session")
def world(server, s3, kms, tmp_path_factory):
    """Bucket, keys and command line for the whole run."""
    bucket = clients.make_bucket(s3, "cse")
    key = kms.create_key(Description="client-side encryption")["KeyMetadata"]["Arn"]
    yield World(server, bucket, key, tmp_path_factory.mktemp("cse"))
    clients.empty_and_delete(s3, bucket)
