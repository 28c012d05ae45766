"""Gives those who wait for a fetch what it brought: each what is right for its own request."""

from __future__ import annotations

from ..engine.exchange import Exchange
from ..errors import ProxykitError
from ..message.fields import Field
from ..message.response import Response
from .answering import Asked, make_answer, status_for
from .arriving import Arriving
from .heads import Arrival, own_fields
from .joined import JoinedBody
from .plan import Asks, NotValidated, Plan, SharedFailure
from .policy import named_fields
from .reader import Reader
from .status import age_field, forwarded, hit
from .stored import StoredHead, StoredResponse
from .use import usable_on_error


class Delivery:
    """What one fetch may give to whom.

    The first reader is the one whose request was sent; what is right for it need not be for others.
    """

    __slots__ = ("_asked", "_asks", "_exchange", "_plan")

    def __init__(self, asks: Asks, exchange: Exchange, asked: Asked, plan: Plan) -> None:
        """Take what a fetch is.

        :param asks: who asks again for those who may not have what it brings.
        :param exchange: the fetch's own.
        :param asked: what was asked for.
        """
        self._asks = asks
        self._exchange = exchange
        self._asked = asked
        self._plan = plan

    @property
    def _name(self) -> bytes:
        return self._exchange.pipeline.rules.pseudonym

    def may_share(self, head: StoredHead, asked: Asked) -> bool:
        """Say whether a response may answer another request than the one that was sent for it."""
        if head.status >= 500:
            return asked.same_user(self._asked)
        terms = head.terms
        return (
            asked.matches(head)
            and not terms.validated_only
            and terms.lifetime > head.age(self._exchange.now)
        )

    def arriving(
        self,
        reader: Reader,
        arrival: Arrival,
        content: Arriving | JoinedBody,
        *,
        first: bool,
        kept: bool,
    ) -> bool:
        """Let a reader read what arrives.

        :param content: with what is stored, if that had a gap only.
        :param kept: whether it is being stored.
        :returns: ``False`` when that is not for it; it was sent on its own way then.
        """
        head = arrival.head
        if not first and not self.may_share(head, reader.asked):
            self._send_away(reader, head)
            return False
        self._note_server(reader)
        as_it_came = first and arrival.status == status_for(reader.asked, head)
        said = forwarded(
            self._name,
            self._plan.why,
            status=None if as_it_came else arrival.status,
            stored=kept,
            collapsed=not first,
            detail=self._plan.detail if first else b"",
        )
        if first:
            extra = (*arrival.own, *self._age_as_it_came(arrival), said)
        else:
            extra = (age_field(head.age(self._exchange.now)), said)
        if reader.serve(head, content, extra, "miss" if first else "collapsed"):
            return True
        self.ask_alone(reader)
        return False

    def _age_as_it_came(self, arrival: Arrival) -> tuple[Field, ...]:
        """Give the Age of a response for the client whose request brought it, if it has any.

        RFC 9111 section 5.1: an Age, be it 0, says that the response comes out of a cache. So one
        that came is passed on, and what a server has made this moment gets none.
        """
        age = arrival.head.age(self._exchange.now)
        return (age_field(age),) if arrival.is_aged or age >= 1 else ()

    def _send_away(self, reader: Reader, head: StoredHead) -> None:
        if head.status >= 500:
            # The server has trouble enough: the crowd is not sent to it one by one. But what it
            # said to one user is not shown to another.
            reader.fail(SharedFailure(f"the server answered {head.status} to the same request"))
        elif not reader.asked.matches(head):
            # Those who want the same variant may well wait for each other.
            reader.release()
            self._asks.ask_again(reader.relay, reader.asked, head)
        else:
            self.ask_alone(reader)

    def validated(
        self, reader: Reader, chosen: StoredResponse | None, response: Response, *, first: bool
    ) -> None:
        """Give a reader what a 304 has made fresh.

        :param chosen: ``None`` when the 304 was about nothing that is stored here.
        :param response: the 304.
        """
        if chosen is None:
            self.ask_alone(reader, validate=False)
            return
        head = chosen.head
        if not first and not self.may_share(head, reader.asked):
            self.ask_alone(reader)
            return
        self._note_server(reader)
        said = forwarded(self._name, self._plan.why, status=304, collapsed=not first)
        extra: tuple[Field, ...] = (age_field(head.age(self._exchange.now)), said)
        if first:
            named = named_fields(head.section.values, reader.asked.rules)
            extra = (*own_fields(response, named), *extra)
        reader.fetch = None
        if not reader.serve(head, chosen.body, extra, "revalidated" if first else "collapsed"):
            self.ask_alone(reader, validate=False)

    def stale(self, reader: Reader, *, answered: bool) -> bool:
        """Give a reader what is stored because nothing fresh can be had (RFC 5861 section 4).

        :param answered: whether the server has answered with an error: no older one is put in its
            place.
        :returns: whether there was anything that may be used so.
        """
        now = self._exchange.now
        fetch = reader.fetch
        for stored in self._plan.candidates:
            head = stored.head
            age = head.age(now)
            if not reader.asked.matches(head) or (answered and head.status >= 500):
                continue
            if not usable_on_error(head.terms, age, reader.asked.directives):
                continue
            extra = (age_field(age), hit(self._name, head.terms.lifetime - age))
            reader.fetch = None
            if reader.serve(head, stored.body, extra, "stale"):
                return True
            reader.fetch = fetch
        return False

    def not_modified(self, reader: Reader, arrival: Arrival) -> bool:
        """Answer 304 where that is what a client's condition comes to."""
        head = arrival.head
        answer = make_answer(reader.asked, head, ())
        if answer is None or answer.response.status != 304:
            return False
        reader.fetch = None
        said = forwarded(self._name, self._plan.why, status=arrival.status)
        extra = (*self._age_as_it_came(arrival), said)
        return reader.serve(head, Arriving(), extra, "miss")

    def direct(self, reader: Reader, response: Response) -> None:
        """Give a reader's client the response as it came; its content follows in the same way."""
        reader.direct = True
        self._note_server(reader)
        reader.relay.exchange.cache = "miss"
        response.headers.add(*forwarded(self._name, self._plan.why, detail=self._plan.detail))
        reader.relay.response_received(response)

    def ask_for_all(self, reader: Reader) -> None:
        """Ask for the whole: what is stored is no part of it any more."""
        reader.release()
        self._asks.ask_for_all(reader.relay, reader.asked)

    def ask_alone(self, reader: Reader, *, validate: bool = True, detail: bytes = b"") -> None:
        """Send a reader's request on its own way."""
        reader.release()
        candidates = self._plan.candidates if validate else ()
        self._asks.ask_alone(reader.relay, reader.asked, candidates, self._plan.why, detail)

    def error_for(self, reader: Reader, error: ProxykitError, *, answered: bool) -> ProxykitError:
        """Give the error that a reader is told: 504 where nothing stale may stand in.

        :param answered: whether the server has answered, and failed later.
        """
        never_stale = any(
            stored.head.terms.never_stale and reader.asked.matches(stored.head)
            for stored in self._plan.candidates
        )
        if never_stale and self._plan.conditional and not answered:
            return NotValidated(f"the stored response could not be validated: {error}")
        return error

    def _note_server(self, reader: Reader) -> None:
        exchange = reader.relay.exchange
        exchange.upstream = self._exchange.upstream
        exchange.reused = self._exchange.reused
