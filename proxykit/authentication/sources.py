"""Where users are known, as a configuration says it, and the checkers that this comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import InvalidAuthArgumentString, InvalidAuthType, makeChecker
from twisted.logger import Logger

from ..errors import ConfigurationError
from ..options import BuildContext, Duration, Options
from .http_client import HttpClient
from .ldap import Directory, LdapChecker
from .negotiate import NegotiateChecker
from .option_types import FieldName, ServiceUrl
from .service import ServiceChecker

_log = Logger()


class LdapOptions(Options):
    """A directory that knows the users."""

    url: str = Field(pattern=r"^ldaps?://[^/?]+/?$", description="ldap:// or ldaps://.")
    start_tls: bool = Field(default=False, description="Begin TLS on an ldap:// connection.")
    ca: Path | None = Field(default=None, description="A PEM file of roots; else the platform's.")
    timeout: Duration = Field(default=5.0, description="For each step.")
    user_dn: str = Field(default="", description='A user\'s DN with "{user}" in it; or else:')
    base: str = Field(default="", description="Below which users are searched.")
    filter: str = Field(default="(uid={user})", description="What a user's entry matches.")
    bind_dn: str = Field(default="", description="Who searches; anybody if not given.")
    bind_password_file: Path | None = Field(default=None, description="A file with its password.")
    groups_attribute: str = Field(
        default="memberOf", description="The attribute of a user that names groups."
    )
    groups_base: str = Field(default="", description="Below which groups are searched.")
    groups_filter: str = Field(
        default="(|(member={dn})(uniqueMember={dn})(memberUid={user}))",
        description="What a group's entry matches.",
    )
    groups_name: str = Field(default="cn", description="The attribute that names a group.")

    @model_validator(mode="after")
    def _one_way(self) -> LdapOptions:
        if bool(self.user_dn) == bool(self.base):
            raise ValueError("ldap needs either user_dn or base")
        if "{user}" not in (self.user_dn or self.filter):
            raise ValueError("there is no {user} in user_dn or filter")
        if self.start_tls and self.url.startswith("ldaps:"):
            raise ValueError("start_tls is for ldap://; ldaps:// is TLS already")
        if bool(self.bind_dn) != bool(self.bind_password_file):
            raise ValueError("bind_dn and bind_password_file go together")
        return self


class ServiceOptions(Options):
    """An HTTP service that is asked with the client's credentials."""

    url: ServiceUrl = Field(description="Asked with GET; 2xx is yes, 401 and 403 are no.")
    timeout: Duration = Field(default=5.0, description="For an answer.")
    ca: Path | None = Field(default=None, description="A PEM file of roots; else the platform's.")
    user_header: FieldName = Field(default="", description="Names the user, in its answer.")
    groups_header: FieldName = Field(default="", description="Names the groups, in its answer.")


class NegotiateOptions(Options):
    """A Kerberos realm whose users are let in by their tickets."""

    keytab: Path = Field(description="The keys of HTTP/HOST, this proxy's name in the realm.")
    local_realms: list[str] = Field(
        default=[], description="Realms whose users are named without the realm."
    )


def ldap_checker(options: LdapOptions, context: BuildContext) -> LdapChecker:
    """Make the checker for a directory.

    :raises ConfigurationError: when it cannot be made.
    """
    return LdapChecker(_directory(options, context.directory), context.reactor)


def service_checker(options: ServiceOptions, context: BuildContext) -> ServiceChecker:
    """Make the checker for a service.

    :raises ConfigurationError: when its roots cannot be read.
    """
    ca_file = context.directory / options.ca if options.ca is not None else None
    client = HttpClient(context.reactor, options.url, options.timeout, ca_file)
    return ServiceChecker(client, options.user_header, options.groups_header)


def negotiate_checker(options: NegotiateOptions, context: BuildContext) -> NegotiateChecker:
    """Make the checker for a realm.

    :raises ConfigurationError: when its keytab cannot be used.
    """
    keytab = context.directory / options.keytab
    return NegotiateChecker(keytab, frozenset(options.local_realms), context.reactor)


def named_checker(description: str) -> Any:
    """Make a checker of Twisted's or of somebody else's.

    :param description: as ``twisted.cred.strcred`` has it.
    :raises ConfigurationError: when there is none, or it does not check passwords.
    """
    kind = description.partition(":")[0]
    try:
        checker = makeChecker(description)
    except InvalidAuthType:
        raise ConfigurationError(f"there is no twisted.cred checker {kind!r}") from None
    except InvalidAuthArgumentString as error:
        raise ConfigurationError(f"the checker {kind!r} does not take this: {error}") from None
    if IUsernamePassword not in checker.credentialInterfaces:
        raise ConfigurationError(f"the checker {kind!r} does not check names and passwords")
    return checker


def _directory(options: LdapOptions, directory: Path) -> Directory:
    password = ""
    if options.bind_password_file is not None:
        path = directory / options.bind_password_file
        try:
            password = path.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from error
        if not password:
            raise ConfigurationError(f"{path} holds no password")
    if options.url.startswith("ldap:") and not options.start_tls:
        _log.warn("{url}: passwords go to the directory without TLS", url=options.url)
    return Directory(
        url=options.url.rstrip("/"),
        start_tls=options.start_tls,
        ca_file=directory / options.ca if options.ca is not None else None,
        timeout=options.timeout,
        user_dn=options.user_dn,
        base=options.base,
        filter=options.filter,
        bind_dn=options.bind_dn,
        bind_password=password,
        groups_attribute=options.groups_attribute,
        groups_base=options.groups_base,
        groups_filter=options.groups_filter,
        groups_name=options.groups_name,
    )
