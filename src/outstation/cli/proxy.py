"""`proxy`: the node behind a reverse proxy."""

from __future__ import annotations

import re

import click

from outstation.cli.root import root

_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", re.IGNORECASE)
"""A name as DNS knows it (RFC 1035, 2.3.1); it goes into a config, and nothing else may."""

_NODE = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}", re.ASCII)


@root.group()
def proxy() -> None:
    """Put the node behind a reverse proxy, for TLS and the internet.

    \b
    Example:
      outstation proxy nginx --domain iot.example.com
    """


@proxy.command()
@click.option("--domain", required=True, help="The host name by which people come.")
@click.option("--node", default="127.0.0.1:5000", show_default=True, help="Where the node listens.")
@click.option("--http", type=click.IntRange(1, 65535), default=80, show_default=True, help="The port for boards.")
@click.option("--https", type=click.IntRange(1, 65535), default=443, show_default=True, help="The port for TLS.")
@click.option("--tls", "is_tls", is_flag=True, help="Print the file that names the certificate, of certbot, instead.")
def nginx(domain: str, node: str, http: int, https: int, *, is_tls: bool) -> None:
    """Print a site for nginx: TLS for people and programs, plain HTTP for boards alone.

    Its first lines are the steps: DNS, firewall, certificate. It is right before there is a certificate.

    \b
    Examples:
      outstation proxy nginx --domain iot.example.com
      outstation proxy nginx --domain iot.example.com | sudo tee /etc/nginx/conf.d/outstation.conf
      outstation proxy nginx --domain iot.example.com --tls | sudo tee /etc/nginx/outstation-tls.conf
    """
    from outstation.ops import nginx as ops

    if not _DOMAIN.fullmatch(domain):
        raise click.BadParameter("expected a name such as iot.example.com.", param_hint="--domain")
    if not _NODE.fullmatch(node):
        raise click.BadParameter("expected an address and a port such as 127.0.0.1:5000.", param_hint="--node")
    site = ops.Site(domain.lower(), node, http, https)
    click.echo(ops.tls(site) if is_tls else ops.text(site), nl=False)
