"""A real FTP server, pyftpdlib's, in a process of its own: python real_server.py HOST PORT FOLDER."""

from __future__ import annotations

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer


def main(host: str, port: str, folder: str, without: str = "") -> None:
    """Serve a folder.

    :param without: commands that it does not know, with commas between them.
    """
    users = DummyAuthorizer()
    users.add_anonymous(folder)
    users.add_user("ada", "s3cret:%", folder + "/private", perm="elr")

    class Handler(FTPHandler):
        authorizer = users
        proto_cmds = {
            name: what
            for name, what in FTPHandler.proto_cmds.items()
            if name not in without.split(",")
        }

    FTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
