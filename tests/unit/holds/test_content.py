"""What a body has to be to be looked into, and what is found in one that is not."""

from __future__ import annotations

import pytest

from gateway.holds.content import Content, as_text, encoded, media_type
from gateway.holds.pointer import ABSENT
from tests.kit.heads import FORM, JSON, XML, posted

DEEP = b"[" * 1000 + b"]" * 1000
BOMB = b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a d="&c;"/>'


@pytest.mark.parametrize(
    ("body", "media", "sound"),
    [
        (b'{"a":1}', JSON, True),
        (b"", JSON, True),
        (b"{", JSON, False),
        (b'{"a":NaN}', JSON, False),
        (b"\xff", JSON, False),
        (b'"\\ud800"', JSON, False),
        (b'{"a":' + b"9" * 10_000 + b"}", JSON, False),
        (DEEP, JSON, True),
        (b"[" * 100_000, JSON, False),
        (b"not json", "text/plain", True),
        (b"not json", "", True),
        (b"%%%&&&===\xff", FORM, True),
        (b"a=1&" * 999, FORM, True),
        (b"a=1&" * 1000, FORM, False),
        (b"<a/>", XML, True),
        (b"", XML, True),
        (b"<a>", XML, False),
        (b"<a b='1' b='2'/>", XML, False),
        (BOMB, XML, False),
        (BOMB.decode().encode("utf-16"), XML, False),
        (b"<?xml version='1.0' encoding='nobody-knows'?><a/>", XML, False),
        (b"<?xml version='1.0' encoding='shift_jis'?><a/>", XML, False),
        (b"<a>" * 50_000, XML, False),
    ],
)
def test_a_body_is_sound_when_it_is_what_its_type_claims(body, media, sound):
    content = Content(body, media)
    assert content.sound() is sound
    if not sound:
        assert (content.document, content.root, content.form) == (ABSENT, {}, ())


def test_a_value_that_nests_too_deep_to_be_written_down_is_still_present():
    assert as_text(Content(DEEP, JSON).document) is not None


def test_a_comment_is_no_document_type():
    assert Content(b"<!-- <!DOCTYPE a> --><a b='1'/>", XML).root == {"b": "1"}


@pytest.mark.parametrize("coding", ["identity", "Identity, ", ""])
def test_a_body_that_says_it_is_not_encoded_is_looked_into(coding):
    assert not encoded(posted("/u", "{}", headers={"Content-Encoding": coding}))


def test_one_coding_of_several_is_enough_to_make_a_body_unreadable():
    assert encoded(posted("/u", "{}", headers={"Content-Encoding": "identity, gzip"}))


@pytest.mark.parametrize("written", ["application/json", "application/JSON ; charset=utf-8", "application/json;"])
def test_a_media_type_is_read_without_its_parameters(written):
    assert media_type(posted("/u", "{}", headers={"Content-Type": written})) == "application/json"
