"""``proxykit status``, ``servers``, ``drain``, ``weight`` and ``reload``, of a running instance."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from .instance import Instance, add_options, print_json, print_table, printable, run


def add_to(commands: Any) -> None:
    """Add the commands; see ``commands.configurations``."""
    status = commands.add_parser("status", help="say how a running instance does")
    status.set_defaults(run=run(_status))
    servers = commands.add_parser("servers", help="list a running instance's servers")
    servers.add_argument("pool", nargs="?", help="only this pool's")
    servers.set_defaults(run=run(_servers))
    drain = commands.add_parser("drain", help="give a server nothing new")
    drain.add_argument("pool")
    drain.add_argument("server")
    drain.add_argument("--undo", action="store_true", help="give it its share again")
    drain.set_defaults(run=run(_drain))
    weight = commands.add_parser("weight", help="change a server's weight until the next reload")
    weight.add_argument("pool")
    weight.add_argument("server")
    weight.add_argument("weight", type=float)
    weight.set_defaults(run=run(_weight))
    reload = commands.add_parser("reload", help="have the configuration reloaded")
    reload.set_defaults(run=run(_reload))
    for parser in (status, servers, drain, weight, reload):
        add_options(parser)


def _status(chosen: argparse.Namespace, instance: Instance) -> None:
    status = instance.get("status")
    if chosen.json:
        print_json(status)
        return
    uptime = timedelta(seconds=int(status["uptime"]))
    reloads = status["reloads"]
    print(f"Proxykit {printable(status['version'])}, process {status['pid']}, up {uptime}")
    print(f"{status['in_flight']} exchanges in flight, {reloads['succeeded']} reloads")
    if reloads["error"]:
        print(f"the last reload failed: {printable(reloads['error'])}")
    print_table(
        ("LISTENER", "ENDPOINT", "PROTOCOL", "OPEN", "IN FLIGHT", "ACCEPTED", "REFUSED"),
        [
            (
                each["name"], each["endpoint"], each["protocol"], each["connections"],
                each["in_flight"], each["accepted"], each["refused"],
            )
            for each in status["listeners"]
        ],
    )  # fmt: skip


def _servers(chosen: argparse.Namespace, instance: Instance) -> int:
    pools = instance.get("servers")["pools"]
    if chosen.pool is not None:
        pools = [pool for pool in pools if pool["name"] == chosen.pool]
    if chosen.json:
        print_json({"pools": pools})
    else:
        heads = ("POOL", "SERVER", "STATE", "HEALTH", "BREAKER", "WEIGHT", "ACTIVE", "LATENCY MS")
        print_table(heads, [_server(pool, each) for pool in pools for each in pool["servers"]])
    return 0 if pools or chosen.pool is None else 1


def _server(pool: Any, server: Any) -> tuple[Any, ...]:
    state = "usable" if server["usable"] else ", ".join(server["faults"])
    weight, effective = server["weight"], server["effective_weight"]
    shown = f"{weight:g}" if weight == effective else f"{effective:g} of {weight:g}"
    latency = server["latency"]
    return (
        pool["name"],
        server["name"],
        f"{state} (backup)" if server["backup"] else state,
        server["health"],
        server["breaker"],
        shown,
        server["active"],
        None if latency is None else round(latency * 1000, 1),
    )


def _drain(chosen: argparse.Namespace, instance: Instance) -> None:
    content = {"pool": chosen.pool, "server": chosen.server, "drained": not chosen.undo}
    answer = instance.post("servers/drain", content)
    if chosen.json:
        print_json(answer)
    else:
        what = "is used again" if chosen.undo else "is drained"
        print(f"{chosen.server} of the pool {chosen.pool} {what}")


def _weight(chosen: argparse.Namespace, instance: Instance) -> None:
    content = {"pool": chosen.pool, "server": chosen.server, "weight": chosen.weight}
    answer = instance.post("servers/weight", content)
    if chosen.json:
        print_json(answer)
    else:
        print(f"{chosen.server} of the pool {chosen.pool} weighs {chosen.weight:g}")


def _reload(chosen: argparse.Namespace, instance: Instance) -> None:
    answer = instance.post("reload", {})
    if chosen.json:
        print_json(answer)
    else:
        print("the configuration was reloaded")
