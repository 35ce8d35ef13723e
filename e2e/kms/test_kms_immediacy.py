# SPDX-License-Identifier: Apache-2.0
"""What is taken away is gone at once: no use of a key that starts after the answer succeeds."""

import threading
import time

import pytest

import clients
from people import DELEGATE, allow, deny, document


READERS = 5
RATE = 50  # GET per second, all readers together
BEFORE, AFTER = 50, 60  # reads
PATIENCE = 300  # seconds for them, on a machine as slow as it may be


class Readers:
    """Clients that read one object over HTTPS, 50 times a second, and note when each read began."""

    def __init__(self, server, credential, bucket):
        self.bucket = bucket
        self.clients = [clients.s3(server, credential=credential) for _ in range(READERS)]
        self.over = threading.Event()
        self.reads = []
        self.threads = [threading.Thread(target=self._read, args=(c, n)) for n, c in enumerate(self.clients)]

    def _read(self, client, number):
        turn = time.monotonic() + number / RATE
        while not self.over.is_set():
            time.sleep(max(0, turn - time.monotonic()))
            turn += READERS / RATE
            began = time.monotonic()
            try:
                clients.read(client.get_object(Bucket=self.bucket, Key="k"))
                code = None
            except client.exceptions.ClientError as error:
                code = error.response["Error"]["Code"]
            self.reads.append((began, time.monotonic(), code))

    def around(self, change):
        """Reads before, during and after the change; answers when it began and was answered."""
        for thread in self.threads:
            thread.start()
        try:
            self._wait(lambda: len(self.reads) >= BEFORE)
            started = time.monotonic()
            change()
            done = time.monotonic()
            self._wait(lambda: len(self.began_after(done)) >= AFTER)
        finally:
            self.over.set()
            for thread in self.threads:
                thread.join()
        return started, done

    def began_after(self, moment):
        return [code for began, _, code in list(self.reads) if began > moment]

    def _wait(self, enough):
        end = time.monotonic() + PATIENCE
        while not enough():
            assert time.monotonic() < end, "too few reads to say anything"
            time.sleep(0.05)


CHANGES = {
    "DisableKey": (lambda kms, user, key, grant: kms.disable_key(KeyId=key), {"KMS.DisabledException"}),
    "ScheduleKeyDeletion": (
        lambda kms, user, key, grant: kms.schedule_key_deletion(KeyId=key), {"KMS.KMSInvalidStateException"}),
    "PutKeyPolicy": (lambda kms, user, key, grant: kms.put_key_policy(KeyId=key, Policy=document(
        DELEGATE, deny("kms:Decrypt", principal="*"))), {"AccessDenied"}),
    "RevokeGrant": (lambda kms, user, key, grant: kms.revoke_grant(KeyId=key, GrantId=grant), {"AccessDenied"}),
    "identity policy": (lambda kms, user, key, grant: user.set_policy(document(allow("s3:*"))), {"AccessDenied"}),
    "user removal": (lambda kms, user, key, grant: user.remove(), {"InvalidAccessKeyId"}),
}


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_nothing_that_starts_afterwards_succeeds(server, kms, s3, bucket, key, make_user, what):
    change, refusals = CHANGES[what]
    by_grant = what == "RevokeGrant"
    user = make_user(document(allow("s3:*"), *([] if by_grant else [allow("kms:*")])))
    grant = kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=["Decrypt"])["GrantId"] if by_grant \
        else None
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 1000, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    readers = Readers(server, user.credential, bucket)
    started, done = readers.around(lambda: change(kms, user, key, grant))
    before = {code for _, ended, code in readers.reads if ended < started}
    after = readers.began_after(done)
    assert before == {None}
    assert {code for _, _, code in readers.reads} <= {None} | refusals
    assert None not in after, f"{after.count(None)} of {len(after)} reads began after {what} and succeeded"


def test_a_read_under_way_is_ended_or_whole(server, kms, s3, bucket, key):
    """The key goes while a large object is on its way: every byte that comes is right."""
    data = clients.noise(8 * clients.MIB)
    s3.put_object(Bucket=bucket, Key="large", Body=data, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    body = s3.get_object(Bucket=bucket, Key="large")["Body"]
    first = body.read(100_000)
    kms.disable_key(KeyId=key)
    try:
        rest = body.read()
    except Exception:
        rest = b""
    assert data.startswith(first + rest)
    with clients.refused("KMS.DisabledException", 400):
        s3.get_object(Bucket=bucket, Key="large")


def test_what_is_given_back_works_at_once(kms, s3, bucket, key, make_user):
    user = make_user(document(allow("s3:*")))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    for _ in range(10):
        grant = kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=["Decrypt"])["GrantId"]
        assert clients.read(user.s3.get_object(Bucket=bucket, Key="k")) == b"x"
        kms.disable_key(KeyId=key)
        with clients.refused("KMS.DisabledException", 400):
            user.s3.get_object(Bucket=bucket, Key="k")
        kms.enable_key(KeyId=key)
        assert clients.read(user.s3.get_object(Bucket=bucket, Key="k")) == b"x"
        kms.revoke_grant(KeyId=key, GrantId=grant)
        with clients.refused("AccessDenied", 403):
            user.s3.get_object(Bucket=bucket, Key="k")

