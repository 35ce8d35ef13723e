# SPDX-License-Identifier: Apache-2.0
"""Which members of its model the answers of the key service had, for `compat.py`."""

from collections import defaultdict

from botocore.model import ListShape, StructureShape

# What no answer of this server can have, and why.
NEVER = {
    "CiphertextForRecipient": "enclaves are not known",
    "CustomKeyStoreId": "no custom key stores", "CloudHsmClusterId": "no custom key stores",
    "XksKeyConfiguration": "no custom key stores",
    "EncapsulationAlgorithms": "no ML-KEM keys",
    "GranteeServicePrincipal": "services are no principals",
    "RetiringServicePrincipal": "services are no principals",
    "SourceArn": "services are no principals",
    "OnDemandRotationStartDate": "a rotation is done when it is answered",
    "PendingDeletionWindowInDays": "primary keys without replicas do not wait",
    "ListKeyPolicies.NextMarker": "a key has one policy",
}

# By operation or structure of the model: the members that were there.
_SEEN = defaultdict(set)


def note(model, answer):
    """One answer that succeeded, as boto3 read it."""
    if model.output_shape is not None:
        _note(model.name, model.output_shape, answer)


def _note(owner, shape, answer):
    for name, inner in shape.members.items():
        if name not in answer:
            continue
        _SEEN[owner].add(name)
        structure, many = _structure(inner)
        if structure is not None:
            for one in answer[name] if many else [answer[name]]:
                _note(structure.name, structure, one)


def missing(models):
    """Members of the model that no answer of the run had: `{(owner, member): why}`, where `why` may
    be nothing."""
    found = {}
    for model in models:
        # Operations that this server does not have answer nothing.
        if model.output_shape is not None and _SEEN[model.name]:
            _missing(model.name, model.output_shape, found)
    return dict(sorted(found.items()))


def _missing(owner, shape, found):
    for name, inner in shape.members.items():
        if name not in _SEEN[owner]:
            found[owner, name] = NEVER.get(name) or NEVER.get(f"{owner}.{name}") or ""
            continue
        structure, _ = _structure(inner)
        if structure is not None:
            _missing(structure.name, structure, found)


def _structure(shape):
    """The structure that a member is, or is a list of, and whether it is a list."""
    many = isinstance(shape, ListShape)
    shape = shape.member if many else shape
    return (shape if isinstance(shape, StructureShape) else None), many
