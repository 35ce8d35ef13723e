# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of the key service."""

import uuid

import pytest

import clients
from by_hand import ByHand
from keys import Ring
from people import User


@pytest.fixture(scope="session")
def ring(kms):
    """One key of each specification and usage, for all tests: look, use, do not change."""
    return Ring(kms)


@pytest.fixture
def key(kms):
    """The id of a symmetric key of the test's own."""
    return kms.create_key(Description="of a test")["KeyMetadata"]["KeyId"]


@pytest.fixture
def make_key(kms):
    def make(**arguments):
        return kms.create_key(**arguments)["KeyMetadata"]["KeyId"]

    return make


@pytest.fixture
def alias(kms, key):
    """An alias of `key`."""
    name = f"alias/t-{uuid.uuid4().hex}"
    kms.create_alias(AliasName=name, TargetKeyId=key)
    return name


@pytest.fixture
def make_user(server):
    """Users of a test's own, removed after it."""
    made = []

    def make(policy=None):
        made.append(User(server, policy))
        return made[-1]

    yield make
    for user in made:
        server.command("user", "remove", user.name, check=False)


@pytest.fixture(scope="session")
def loose(server):
    """A client that sends what botocore would refuse itself."""
    return clients.kms(server, parameter_validation=False)


@pytest.fixture(scope="session")
def by_hand(raw):
    """`by_hand("Encrypt", {...})`: a signed document that no client library looked at."""
    return ByHand(raw)
