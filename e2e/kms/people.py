# SPDX-License-Identifier: Apache-2.0
"""Users with identity policies, and the documents of policies."""

import json
import re
import uuid

import clients
from keys import ROOT
from strongroom import ACCOUNT


def statement(effect, actions, resource="*", principal=None, condition=None, **more):
    """One statement; `principal` is an ARN, `*`, or what Principal holds."""
    out = {"Effect": effect, "Action": actions, "Resource": resource} | more
    if principal is not None:
        out["Principal"] = {"AWS": principal} if principal != "*" and not isinstance(principal, dict) \
            else principal
    if condition is not None:
        out["Condition"] = condition
    return {name: value for name, value in out.items() if value is not None}


def document(*statements, **more):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | more)


def allow(actions, resource="*", **more):
    return statement("Allow", actions, resource, **more)


def deny(actions, resource="*", **more):
    return statement("Deny", actions, resource, **more)


# Sid and all: what every key has whose maker gave none.
DEFAULT_KEY_POLICY = {
    "Version": "2012-10-17", "Id": "key-default-1",
    "Statement": [{
        "Sid": "Enable IAM User Permissions", "Effect": "Allow", "Principal": {"AWS": ROOT},
        "Action": "kms:*", "Resource": "*",
    }],
}
DELEGATE = allow("kms:*", principal=ROOT)


class User:
    """A user of the account. Without a policy it may do everything."""

    def __init__(self, server, policy=None, name=None):
        self.server = server
        self.name = name or f"u-{uuid.uuid4().hex[:12]}"
        self.arn = f"arn:aws:iam::{ACCOUNT}:user/{self.name}"
        arguments = ["user", "add", self.name]
        if policy is not None:
            arguments += ["--policy", self._file(policy)]
        out = server.command(*arguments).stdout
        found = dict(re.findall(r"^(AWS_[A-Z_]+)=(\S+)$", out, re.M))
        self.credential = found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]
        self.kms = clients.kms(server, credential=self.credential)
        self.s3 = clients.s3(server, credential=self.credential)

    def _file(self, policy):
        path = self.server.base / f"{self.name}.json"
        path.write_text(policy)
        return str(path)

    def set_policy(self, policy):
        self.server.command("user", "policy", self.name, self._file(policy))

    def remove_policy(self):
        self.server.command("user", "policy", self.name, "--remove")

    def remove(self):
        self.server.command("user", "remove", self.name)


def not_authorized(user, action, resource):
    """How the refusal of that action begins."""
    return f"User: {user.arn} is not authorized to perform: {action} on resource: {resource}"
