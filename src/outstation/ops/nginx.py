"""A node behind nginx: the site as text, complete, and right before there is a certificate.

The law of this file: on port 80 only boards are answered; what nginx says of who asks is its own word, not the
sender's; and no key is in a log of nginx.

Directives are those of nginx 1.22, which Debian 12 has (nginx.org/en/docs/dirindex.html).
"""

from __future__ import annotations

import http
import json

import msgspec

from outstation.routes import BATCH

DIALECTS = (
    r"^/(s/)?update(\.json)?$|^/update/|^/channels/|^/stream/channels/"
    r"|^/(write|query|ping|health)$|^/api/v2/write$"
)
"""The paths of the boards' dialects, as a regular expression of nginx; reference/dialects.md has them."""


class Site(msgspec.Struct, frozen=True):
    """What of a site may differ. node: where Outstation listens. tls: the file that the certificate is named in."""

    domain: str
    node: str = "127.0.0.1:5000"
    http: int = 80
    https: int = 443
    tls: str = "/etc/nginx/outstation-tls.conf"
    webroot: str = "/var/www/html"
    logs: str = "/var/log/nginx"


def tls(site: Site, certificate: str = "", key: str = "") -> str:
    """Return the file that the site includes from when there is a certificate on."""
    live = f"/etc/letsencrypt/live/{site.domain}"
    return (
        f"listen {site.https} ssl http2;\n"
        f"listen [::]:{site.https} ssl http2;\n"
        f"ssl_certificate {certificate or f'{live}/fullchain.pem'};\n"
        f"ssl_certificate_key {key or f'{live}/privkey.pem'};\n"
    )


def text(site: Site) -> str:
    """Return the whole site, its steps as comments at the top."""
    shown = "" if site.https == 443 else f":{site.https}"
    words = {
        "%REFUSALS%": "".join(_refusal(*refusal) for refusal in _REFUSALS),
        "%DOMAIN%": site.domain,
        "%NODE%": site.node,
        "%HTTP%": str(site.http),
        "%HTTPS%": str(site.https),
        "%SHOWN%": site.domain + shown,
        "%TLS%": site.tls,
        "%TLS_MASK%": f"{site.tls.removesuffix('.conf')}[.]conf",
        "%WEBROOT%": site.webroot,
        "%LOGS%": site.logs,
        "%BODY%": str(BATCH),
        "%DIALECTS%": DIALECTS,
    }
    found = _SITE
    for word, value in words.items():
        found = found.replace(word, value)
    return found


_REFUSALS = (
    ("plain", 403, "Only boards are answered here; all else at https://%SHOWN%.", False),
    ("large", 413, "At most %BODY% bytes are taken here; send less at once.", False),
    ("often", 429, "Too many requests from this address; wait a little.", True),
    ("away", 503, "The node does not answer; try again.", True),
)
"""What nginx refuses by itself: place, status, words, and whether it is worth trying again."""


def _refusal(place: str, status: int, error: str, is_for_now: bool) -> str:
    title = http.HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": title, "status": status, "detail": error, "error": error}
    again = "        add_header Retry-After 5 always;\n" if is_for_now else ""
    return (
        f"    location @{place} {{\n        internal;\n        default_type application/problem+json;\n"
        f"{again}        return {status} '{json.dumps(problem)}';\n    }}\n"
    )


_SITE = r"""# Outstation at https://%SHOWN% behind nginx, and boards at http://%DOMAIN%.
#
# 1. DNS: an A record (and AAAA, if the machine has IPv6) of %DOMAIN% to this machine. To look: getent ahosts %DOMAIN%
# 2. Firewall: TCP %HTTP% and %HTTPS% open, and not the node's own port; where it is ufw:
#      sudo ufw allow OpenSSH && sudo ufw allow %HTTP%/tcp && sudo ufw allow %HTTPS%/tcp && sudo ufw enable
# 3. In outstation.toml, then start the node again:
#      [web]
#      host = "127.0.0.1"                    # heard by nginx alone
#      hosts = ["%DOMAIN%"]
#      trusted_proxies = ["127.0.0.1"]       # nginx says who asks
# 4. This site; it is right before there is a certificate, and answers boards and certbot:
#      sudo apt install nginx-light certbot
#      outstation proxy nginx --domain %DOMAIN% | sudo tee /etc/nginx/conf.d/outstation.conf >/dev/null
#      sudo rm -f /etc/nginx/sites-enabled/default
#      sudo nginx -t && sudo systemctl reload nginx
# 5. The certificate; Debian's timer renews it, and nginx then reads it again:
#      sudo certbot certonly --webroot -w %WEBROOT% -d %DOMAIN% --deploy-hook "systemctl reload nginx"
#      outstation proxy nginx --domain %DOMAIN% --tls | sudo tee %TLS% >/dev/null
#      sudo nginx -t && sudo systemctl reload nginx
# 6. To see that all is well: outstation doctor, and https://%SHOWN% on a phone.

upstream outstation {
    server %NODE%;
    keepalive 32;
    # The node itself lets go after 60 s: nginx is to be the first, or a request meets a closing door.
    keepalive_timeout 30s;
}

# Of one address: a class of boards, or a workshop behind one router, is well below; a flood is not.
limit_req_zone $binary_remote_addr zone=outstation_requests:4m rate=100r/s;
limit_conn_zone $binary_remote_addr zone=outstation_connections:4m;

# Keys travel in URLs: the log has a path that can have none in it, without what stands behind the ?, also where a
# sender wrote that as %3F; of any other its beginning.
map $uri $outstation_path {
    ~^(?<outstation_known>/(api|channels|docs)/[^?&=#]*|/s/update(\.json)?)$ $outstation_known;
    ~^(?<outstation_before>/(api|channels|docs)/[^?&=#]*)[?&=#]              $outstation_before...;
    ~^(?<outstation_first>/[^/?&=#]*)[/?&=#]                                 $outstation_first...;
    default                                                                  $uri;
}

# Who comes without TLS is shown the other door; not with a body in hand, since a key came with it for all to read.
map $scheme:$request_method $outstation_door {
    ~^https:            in;
    ~^http:(GET|HEAD)$  over;
    default             shut;
}

# The last word is what the node said: 502 it is away, 504 it did not answer in time, - it was not asked.
log_format outstation '$remote_addr [$time_iso8601] $request_method $outstation_path $status $body_bytes_sent '
    'node: $upstream_status';

server {
    # Boards say whatever host name they were built with, or none: this is where they come.
    listen %HTTP% default_server;
    listen [::]:%HTTP% default_server;
    server_name %DOMAIN%;

    # From step 5 on: the port for TLS, and the certificate. Until then the mask finds no file, which is no error.
    include %TLS_MASK%;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:outstation:1m;
    ssl_session_timeout 1d;
    # Browsers are to ask by TLS alone from now on. Take the # away when it has worked for some days.
    # add_header Strict-Transport-Security "max-age=31536000" always;

    access_log %LOGS%/outstation.log outstation;
    # A line about a request has its whole URL, and so its key, up to "alert", for too many connections. What went wrong
    # is in the log above.
    error_log /dev/null emerg;
    server_tokens off;

    # The node's own limits: the largest body that it takes anywhere, headers, a URL, and its patience.
    client_max_body_size %BODY%;
    large_client_header_buffers 4 8k;
    client_header_timeout 10s;
    client_body_timeout 10s;
    send_timeout 60s;
    keepalive_timeout 60s;
    limit_req zone=outstation_requests burst=200 nodelay;
    limit_req_status 429;
    limit_conn outstation_connections 200;
    limit_conn_status 429;

    proxy_http_version 1.1;
    proxy_set_header Connection "";
    # As sent, its port as well: the node tells its own pages from others by it.
    proxy_set_header Host $http_host;
    # Not what a sender says of itself, but who it is.
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host "";
    proxy_set_header X-Real-IP "";
    proxy_set_header Forwarded "";
    proxy_set_header Via "";
    # A body goes on as it comes: the node refuses a large one early, and cuts one that drips.
    proxy_request_buffering off;
    # An export is as long as a year: it waits in the node, not on this disk.
    proxy_max_temp_file_size 0;
    proxy_connect_timeout 5s;
    # The event stream gives a sign of life every 15 s.
    proxy_read_timeout 60s;
    proxy_redirect off;

    location /.well-known/acme-challenge/ {
        root %WEBROOT%;
    }

    # What boards speak: on both ports.
    location ~ "%DIALECTS%" {
        proxy_pass http://outstation;
    }

    # All else by TLS alone. The event stream itself says that it is not to be buffered (X-Accel-Buffering).
    location / {
        if ($outstation_door = over) {
            return 301 https://%SHOWN%$request_uri;
        }
        if ($outstation_door = shut) {
            return 403;
        }
        proxy_pass http://outstation;
    }

    # What nginx refuses by itself, in the words of the node.
    error_page 403 @plain;
    error_page 413 @large;
    error_page 429 @often;
    error_page 500 502 504 =503 @away;
%REFUSALS%}
"""
