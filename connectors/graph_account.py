"""One account as a fetch and a check of a Graph platform see it: calls, pages and metrics that are asked for anew.

A platform derives its own :class:`Account` and says which permissions its calls take. Nothing here knows which platform
it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors import graph, pages
from connectors.contract import Http, NotPermitted, Page, Response, Source
from connectors.faults import narrowed
from connectors.graph import Fault, Refusal


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of an insights edge: what was asked in the end, what was refused on the way, what is left as error."""

    response: Response
    asked: tuple[str, ...]
    refused: tuple[str, ...] = ()
    fault: Fault | None = None

    def described(self) -> dict[str, str]:
        """Return what a page's request says of it."""
        if self.fault is not None:
            return {"metrics": ",".join(self.asked), "refusal": self.fault.refusal.value}
        return {"metrics": ",".join(self.asked), "refused": ",".join(self.refused)}

    def require_there(self, needs: str) -> None:
        """Raise where what was asked is the account itself, and it is not there."""
        if self.fault is not None and self.fault.refusal is Refusal.GONE:
            graph.raise_fault(self.fault, self.response.headers, needs)


class Account:
    """The account of a source and a client that is authorised for it.

    ``basic`` and ``insights`` name the permissions that reading the account and its insights takes. ``last_resort`` are
    the metrics asked for when a refusal does not say which one is wrong; without any, each is tried by itself once and
    those that are refused are not asked for again (``retired``). That and ``notes`` live as long as the task, in its
    cursor.
    """

    basic: str = ""
    insights: str = ""
    last_resort: tuple[str, ...] = ()

    def __init__(self, http: Http, source: Source, account: str, version: str) -> None:
        self.http = http
        self.options: Any = source.options
        self.id = account
        self.version = version
        self.retired: dict[str, None] = {}
        self.notes: dict[str, str] = {}
        self._is_visible = False

    def path(self, *parts: str) -> str:
        return "/".join((self.version, *parts))

    async def get(self, *parts: str, **params: str) -> Response:
        return await self.http.get(self.path(*parts), params)

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page of this account; its cursor keeps what the task has found out."""
        kept = {**cursor, **self.notes, "without": ",".join(self.retired)}
        return pages.page_of(response, kept, last=last, account=self.id, **request)

    def resume(self, cursor: Mapping[str, str]) -> None:
        """Remember what an earlier part of the task found out."""
        self.retired = dict.fromkeys(pages.listed(cursor, "without"))

    async def require_visible(self, fault: Fault | None) -> None:
        """Make sure that what is missing is missing alone. Raises :class:`NotPermitted` when the account is too.

        An object that does not exist and one that the token may not see are the same error.
        """
        if fault is not None and fault.refusal is Refusal.GONE and not self._is_visible:
            _, fault = graph.examine(await self.get(self.id, fields="id"), self.basic)
            if fault is not None:
                raise NotPermitted(f"the account is not visible to this token: {self.basic} ({fault.label})")
            self._is_visible = True

    async def ask(self, path: str, metrics: tuple[str, ...], params: Mapping[str, str]) -> Answer:
        """Ask for metrics, and without a refused one again: one wrong metric empties the whole answer."""
        living = tuple(name for name in metrics if name not in self.retired)
        asked = living or metrics
        while True:
            response = await self.http.get(path, {"metric": ",".join(asked), **params})
            _, fault = graph.examine(response, self.insights)
            rest = () if fault is None or not living else await self._narrowed(fault, asked, path, params)
            if not rest:
                refused = tuple(name for name in metrics if name not in asked)
                return Answer(response=response, asked=asked, refused=refused, fault=fault)
            asked = rest

    async def _narrowed(
        self, fault: Fault, asked: tuple[str, ...], path: str, params: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Return what is worth asking after a refusal: always fewer than before, nothing where it is no metric's."""
        if fault.refusal not in {Refusal.BAD_METRIC, Refusal.BAD_REQUEST}:
            return ()
        refused = graph.refused_metrics(fault, asked)
        if refused or self.last_resort or fault.refusal is not Refusal.BAD_METRIC:
            return narrowed(asked, refused, self.last_resort)
        living = await self._living(asked, path, params)
        return living if len(living) < len(asked) else ()

    async def _living(self, asked: tuple[str, ...], path: str, params: Mapping[str, str]) -> tuple[str, ...]:
        """Return the metrics that answer by themselves; what does not is retired for the rest of the task."""
        if len(asked) == 1:
            return ()
        dead = []
        for name in asked:
            _, fault = graph.examine(await self.http.get(path, {"metric": name, **params}), self.insights)
            dead += [name] if fault is not None and fault.refusal is Refusal.BAD_METRIC else []
        self.retired |= dict.fromkeys(dead)
        return tuple(name for name in asked if name not in dead)
