"""The section of the object store: whole or not at all, and without a secret in it."""

import pytest

from dcdaemon.config.load import load
from dcdaemon.core.errors import BadConfig

WHOLE = {
    "object_store.endpoint": "https://s3.example.org/",
    "object_store.bucket": "datasets",
    "object_store.access_key": "AK",
    "object_store.secret_file": "~/secret",
}
ENV = {"HOME": "/home/ada"}


def test_none_is_configured_by_default():
    assert load([], ENV, uid=1000).config.object_store.endpoint == ""


def test_a_whole_section_is_read():
    store = load([], ENV, WHOLE, uid=1000).config.object_store
    assert (store.endpoint, store.bucket, store.region) == ("https://s3.example.org", "datasets", "us-east-1")
    assert (store.secret_file, store.interval_s, store.list_pages) == ("/home/ada/secret", 60.0, 1000)


@pytest.mark.parametrize("key", ["bucket", "access_key", "secret_file"])
def test_half_a_section_is_refused(key):
    flags = {name: value for name, value in WHOLE.items() if not name.endswith(f".{key}")}
    with pytest.raises(BadConfig) as caught:
        load([], ENV, flags, uid=1000)
    assert caught.value.message == f"object_store.{key} is not set"


@pytest.mark.parametrize(
    "endpoint",
    [
        "s3.example.org",
        "ftp://s3.example.org",
        "https://user:word@s3.example.org",
        "https://",
        "https://a b",
        "https://s3/?x",
    ],
)
def test_what_is_no_address_is_refused(endpoint):
    with pytest.raises(BadConfig, match="is not the address of an object store"):
        load([], ENV, {"object_store.endpoint": endpoint}, uid=1000)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000", "https://[2001:db8::1]:9000", "https://host/prefix"])
def test_addresses_of_all_kinds_are_taken(endpoint):
    assert load([], ENV, WHOLE | {"object_store.endpoint": endpoint}, uid=1000).config.object_store.endpoint == endpoint
