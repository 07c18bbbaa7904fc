"""What fails every test of a page is noticed: shown on a page that does all of it."""

from __future__ import annotations

from playwright.sync_api import Browser

from tests.browser.watch import Watch
from tests.running import Running

BREACHES = {
    "script of its own": (
        "document.head.append(Object.assign(document.createElement('script'), {text: '1'}))",
        "inline",
    ),
    "style of its own": ("document.body.setAttribute('style', 'color: red')", "style-src"),
    "picture from elsewhere": ("new Image().src = 'http://elsewhere.example/x.png'", "img-src"),
    "words on the console": ("console.warn('not good')", "not good"),
    "error": ("setTimeout(() => { throw new Error('broken'); })", "broken"),
    "file that is not there": ("fetch('/ui/0/none.js')", "404"),
    "address of another host": ("open('http://127.0.0.2:9/')", "another host"),
}


def test_whatever_a_page_must_not_do_is_noticed(plain: Running, browser: Browser) -> None:
    watch = Watch(browser)
    watch.page.goto(f"http://127.0.0.1:{plain.port}/?refresh=off")
    assert watch.complaints == []
    for does, _ in BREACHES.values():
        watch.page.evaluate(f"() => {{ {does}; }}")
    watch.page.wait_for_timeout(300)  # it is told by and by
    assert [name for name, (_, words) in BREACHES.items() if words not in str(watch.complaints)] == []
    watch.context.close()
