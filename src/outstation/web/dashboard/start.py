"""What an empty node says: the next step, in words that can be copied."""

from __future__ import annotations

from urllib.parse import urlsplit

from outstation.web.dashboard.view import text


def nothing_yet(port: int, urls: tuple[str, ...] = ()) -> str:
    """Return the first steps. urls: by which other machines reach this node, the likeliest first."""
    url = urls[0].rstrip("/") if urls else f"http://localhost:{port}"
    here = f"http://localhost:{urlsplit(url).port or port}"
    return _NOTHING_YET.replace("URL", text(url)).replace("HERE", here)


_NOTHING_YET = """<section class=start>
<h2>Nothing here yet</h2>
<p>This node has no sensors and no outputs. It becomes what you need in one of these ways:</p>
<div class=panels>
<section class=panel>
<h3>A sensor or an output of its own</h3>
<p>In its <code>outstation.toml</code>, and then start it again:</p>
<pre class=config>[[sensors]]
name = "cpu_temp"
driver = "system"
quantity = "cpu_temp"

[[actuators]]
name = "led"
driver = "gpio"
pin = 17</pre>
<p>What is wrong with a config, all of it at once:</p>
<pre>outstation check outstation.toml</pre>
</section>
<section class=panel>
<h3>A board with Wi-Fi</h3>
<p>An ESP8266, an ESP32, a Pico W. Here, a key for it, which is shown once:</p>
<pre>outstation keys create porch --scope write --device porch</pre>
<p>On the board, in MicroPython:</p>
<pre>import requests

requests.post(
    "URL/api/readings",
    headers={"X-API-Key": "KEY"},
    json={"sensor": "temperature", "value": 21.5},
)</pre>
<p>Boards that speak ThingSpeak or are weather stations: <code>outstation devices add porch --fields
temperature,humidity</code></p>
</section>
<section class=panel>
<h3>A program on any machine</h3>
<p>A key, and then a reading:</p>
<pre>outstation keys create porch --scope write

curl -X POST HERE/api/readings \\
  -H "Content-Type: application/json" -H "X-API-Key: KEY" \\
  -d '{"sensor": "porch/temperature", "value": 21.5}'</pre>
<p>All that it understands stands in <a href="/docs">the API's own pages</a>.</p>
</section>
<section class=panel>
<h3>A hub for other nodes</h3>
<p>Every node is a hub as soon as another one reports to it. Let that one in:</p>
<pre>outstation nodes add greenhouse-1</pre>
<p>It prints an <code>[[uplinks]]</code> table for the config of greenhouse-1. Its sensors then appear here.</p>
</section>
</div>
<p>What arrives is shown here by itself.</p>
</section>
"""
