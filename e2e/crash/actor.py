# SPDX-License-Identifier: Apache-2.0
"""A client that tells the world what it asks for, and what it was answered."""

import hashlib
from urllib.parse import quote

from bare_client import BareClient, Failed
from world import BUCKET, Upload, new_files, note_of, part, stored, without_notes

KMS = {"x-amz-server-side-encryption": "aws:kms"}


class Actor:
    """One connection to one server process. Every method is one request that changes something."""

    def __init__(self, server, world):
        self.client = BareClient(server)
        self.world = world
        self.failures = 0

    def _change(self, changes, method, target, body=b"", headers=None):
        self.world.attempt(changes)
        answer = self.client.ask(method, target, body, headers)
        self.world.settle(changes, answer)
        return answer

    # ---- objects ----------------------------------------------------------------------

    def put(self, name, body, meta, headers=None):
        etag = None if headers else hashlib.md5(body).hexdigest()
        changes = {("object", name): stored(body, meta, etag)}
        headers = {"x-amz-meta-made": meta} | (headers or {})
        return self._change(changes, "PUT", path(name), body, headers)

    def copy(self, source, name, headers=None):
        old = self.world.get("object", source)
        # In the mode of the source, with its key, a copy stands on the same bytes.
        files = without_notes(old.files) if headers is None else new_files(old.size)
        new = old._replace(etag=None, files=files)
        headers = {"x-amz-copy-source": f"/{BUCKET}/{quote(source)}"} | (headers or {})
        return self._change({("object", name): new}, "PUT", path(name), headers=headers)

    def delete(self, name):
        return self._change({("object", name): None}, "DELETE", path(name))

    def delete_several(self, names):
        """Not a whole: each name is deleted by itself."""
        changes = [self.world.attempt({("object", name): None}) for name in names]
        items = "".join(f"<Object><Key>{name}</Key></Object>" for name in names)
        body = f"<Delete>{items}</Delete>".encode()
        answer = self.client.ask("POST", f"/{BUCKET}?delete=", body, with_md5(body))
        assert b"<Error>" not in answer.body, answer
        for change in changes:
            self.world.settle(change, answer)

    # ---- uploads ----------------------------------------------------------------------

    def create_upload(self, name, meta):
        self.world.unnamed_uploads.append(name)
        answer = self.client.ask(
            "POST", f"{path(name)}?uploads=", headers={"x-amz-meta-made": meta}
        )
        self.world.unnamed_uploads.remove(name)
        upload_id = answer.element("UploadId")
        self.world.settle({("upload", upload_id): Upload(name, {})}, answer)
        return upload_id

    def upload_part(self, upload_id, number, body):
        changes, target = self._part(upload_id, number, part(body))
        return self._change(changes, "PUT", target, body)

    def upload_part_copy(self, upload_id, number, source, body):
        """`body` is what `source` holds."""
        changes, target = self._part(upload_id, number, part(body))
        headers = {"x-amz-copy-source": f"/{BUCKET}/{quote(source)}"}
        return self._change(changes, "PUT", target, headers=headers)

    def _part(self, upload_id, number, new):
        upload = self.world.get("upload", upload_id)
        parts = upload.parts | {number: new}
        target = f"{path(upload.object_key)}?partNumber={number}&uploadId={upload_id}"
        return {("upload", upload_id): upload._replace(parts=parts)}, target

    def complete(self, upload_id, bodies, meta):
        """`bodies`: number -> bytes, of all parts."""
        upload = self.world.get("upload", upload_id)
        sums = b"".join(hashlib.md5(bodies[n]).digest() for n in sorted(bodies))
        etag = f"{hashlib.md5(sums).hexdigest()}-{len(bodies)}"
        files = frozenset().union(*(one.files for one in upload.parts.values()))
        # That it was completed is a file of its own.
        files |= {note_of(upload_id)}
        whole = b"".join(bodies[n] for n in sorted(bodies))
        items = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{upload.parts[n].etag}</ETag></Part>"
            for n in sorted(bodies)
        )
        body = f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>".encode()
        changes = {
            ("upload", upload_id): None,
            ("object", upload.object_key): stored(whole, meta, etag, files),
        }
        target = f"{path(upload.object_key)}?uploadId={upload_id}"
        return self._change(changes, "POST", target, body)

    def abort(self, upload_id):
        name = self.world.get("upload", upload_id).object_key
        changes = {("upload", upload_id): None}
        return self._change(changes, "DELETE", f"{path(name)}?uploadId={upload_id}")

    # ---- buckets and keys -------------------------------------------------------------

    def create_bucket(self, name):
        return self._change({("bucket", name): True}, "PUT", f"/{name}")

    def delete_bucket(self, name):
        return self._change({("bucket", name): None}, "DELETE", f"/{name}")

    def _kms(self, changes, operation, **members):
        self.world.attempt(changes)
        answer, _ = self.client.kms(operation, **members)
        self._settle_kms(changes, answer)

    def _settle_kms(self, changes, answer):
        answer.headers.setdefault("x-amz-request-id", answer.headers.get("x-amzn-requestid"))
        self.world.settle(changes, answer)

    def create_key(self):
        answer, made = self.client.kms("CreateKey")
        key = made["KeyMetadata"]["KeyId"]
        self._settle_kms({("key", key): "Enabled"}, answer)
        return key

    def enable_key(self, key, enabled):
        state, operation = ("Enabled", "EnableKey") if enabled else ("Disabled", "DisableKey")
        self._kms({("key", key): state}, operation, KeyId=key)

    def create_alias(self, name, key):
        self._kms({("alias", name): key}, "CreateAlias", AliasName=name, TargetKeyId=key)

    def delete_alias(self, name):
        self._kms({("alias", name): None}, "DeleteAlias", AliasName=name)

    # ---- refusals ---------------------------------------------------------------------

    def must_fail(self, request, *args, **kwargs):
        """The request must be answered 5xx; returns that answer."""
        try:
            answer = request(*args, **kwargs)
        except Failed as failed:
            return failed.answer
        raise AssertionError(f"{request.__name__}{args[:1]} was acknowledged: {answer}")


def path(name):
    return f"/{BUCKET}/{quote(name)}"


def with_md5(body):
    import base64

    return {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
