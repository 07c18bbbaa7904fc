"""Who is told of alerts: what arrives of it, where nothing is sent, and that no secret is repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_config import loaded, mistakes


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def webhook(keys: str = "", *, name: str = "phone", url: str = "https://hooks.example.org/x") -> str:
    return f'[[webhooks]]\nname = "{name}"\nurl = "{url}"\n{keys}\n'


def test_places_times_and_receivers_arrive(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "https://hooks.example.org/abc")
    (place / "sign.key").write_text("a-signing-secret\n")
    config = loaded(
        "[node]\nplace = [52.52, 13.41]\n[alerts]\nquiet = ['22:00', '07:30']\n"
        + webhook('secret = "file:sign.key"\nseverity = "warning"\ntimeout = "5s"', url="env:HOOK")
        + '[[apprise]]\nname = "ntfy"\nurl = "ntfys://ntfy.sh/garden"\n'
    )
    assert config.node.place == (52.52, 13.41)
    assert config.alerts.quiet == (22 * 60, 7 * 60 + 30)
    (hook,) = config.webhooks
    assert (hook.url, hook.secret) == ("https://hooks.example.org/abc", "a-signing-secret")
    assert (hook.severity, hook.timeout) == ("warning", 5_000)
    assert (config.apprise[0].url, config.apprise[0].severity) == ("ntfys://ntfy.sh/garden", "info")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (webhook('timeout = "2m"'), '[[webhooks]] 1 "phone", key "timeout": expected "60s" or shorter, found "2m".'),
        (webhook('secret = ""'), 'key "secret": expected a text that is not empty, found one of 0 characters.'),
        (webhook("secret = 8812334455"), 'key "secret": expected a text in quotes, found one that is no text.'),
        (webhook('secret = ["8812334455"]'), 'key "secret": expected a text in quotes, found one that is no text.'),
        (webhook() + webhook(), 'found "phone", which [[webhooks]] 1 "phone" has.'),
        (
            webhook() + '[[apprise]]\nname = "phone"\nurl = "ntfy://a"',
            'found "phone", which [[webhooks]] 1 "phone" has.',
        ),
        (
            '[[apprise]]\nname = "ntfy"\nurl = "garden"',
            'key "url": expected an address of Apprise such as "ntfys://ntfy.s',
        ),
    ],
)
def test_a_mistake_says_where_what_and_what_instead(text: str, mistake: str) -> None:
    (line,) = mistakes(text)
    assert mistake in line


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.1.1:8080",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "[::ffff:169.254.169.254]",
    ],
)
def test_a_webhook_never_goes_to_a_machines_own_secrets(host: str) -> None:
    (line,) = mistakes(webhook(url=f"http://{host}/latest"))
    assert 'key "url": expected a receiver elsewhere: ' in line
    assert "is a link-local, multicast or metadata address" in line


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "https://[::1]:8080/x", "http://192.168.1.5/x", "http://169.254.example.org/"]
)
def test_a_webhook_may_go_to_the_house_and_to_names(url: str) -> None:
    assert loaded(webhook(url=url)).webhooks[0].url == url


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example/s3cret", "s3cret", "http://me:s3cret@a.example/", "http://a.example:0/s3cret",
     "http://[1/s3cret", "http:///s3cret", "http://a.example/s3cret x", "http://a.example:99999/s3cret"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    (line,) = mistakes(webhook(url=url))
    assert 'key "url": expected an address such as "https://hooks.example.org/outstation"' in line
    assert "s3cret" not in line


@pytest.mark.parametrize("key", ["url", "secret"])
def test_a_missing_secret_is_a_mistake_with_its_place(key: str) -> None:
    text = webhook('secret = "env:NOT_THERE"') if key == "secret" else webhook(url="env:NOT_THERE")
    (line,) = mistakes(text)
    assert f'[[webhooks]] 1 "phone", key "{key}": expected a secret in the environment variable NOT_THERE' in line


def test_the_secret_of_an_apprise_address_is_not_repeated() -> None:
    (line,) = mistakes('[[apprise]]\nname = "ntfy"\nurl = "tgram:s3cret"\n')
    assert "s3cret" not in line
