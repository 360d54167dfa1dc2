"""What an explanation says, as frozen values: the JSON document and the text are two renderings of them. Times are
seconds counted from the request's arrival, None where there is no such instant. Secrets are already masked here.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.explain.model_hold import HoldStory, Rule


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client would get from the gateway itself."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: str

    def header(self, name: str) -> str:
        """The value of a field, "" where there is none."""
        return next((value for each, value in self.headers if each.lower() == name.lower()), "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ends: `result` is "held", "forwarded", "preflight", "answered" (no news at once) or "refused".

    `slug` and `detail` are those of a refusal; `hint` says what would have been served instead.
    """

    result: str
    outcome: str | None = None
    slug: str | None = None
    detail: str | None = None
    hint: str | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class ClientStory:
    """Who counts as the client, with the scheme it used, and `why`. `announced`: connections begin with a PROXY header,
    and `--from` is whom it names. `certificate`: "require" or "ask" where clients are asked for one."""

    address: str
    scheme: str
    why: str
    announced: bool
    certificate: str | None


@dataclass(frozen=True, slots=True)
class Named:
    """A policy of the route, where it was written and the kinds it brings."""

    name: str
    file: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RouteStory:
    name: str
    file: str
    host: str | None
    path: str
    methods: tuple[str, ...]
    upstream: str
    endpoints: tuple[str, ...]
    names: tuple[str, ...]  # of endpoints, that are looked up every `dns_refresh` seconds
    dns_refresh: float
    balance: str
    watched: tuple[str, ...]  # what takes an endpoint out, a sentence each
    rewrite: str | None
    policies: tuple[Named, ...]
    own_kinds: tuple[str, ...]  # tables written on the route itself


@dataclass(frozen=True, slots=True)
class StepStory:
    """One step of the admission. `status` None: it lets the call on."""

    kind: str
    status: int | None = None
    slug: str | None = None
    detail: str | None = None
    waits: bool = False  # for something explain does not fetch


@dataclass(frozen=True, slots=True)
class Caller:
    provider: str
    consumer: str
    tenant: str | None
    scopes: tuple[str, ...]
    claims: dict[str, str]  # those that a route or a header reads
    ends_in: float | None  # until the token stops counting, leeway included


@dataclass(frozen=True, slots=True)
class Count:
    """How much of a limit is used up at this moment, as the running gateway says. `left` and `reset` (seconds until one
    more) are of a rate, `held` and `max` of a cap; `waiting` stand in line. `known` False: it has no such limit."""

    known: bool
    left: int | None = None
    reset: int | None = None
    held: int | None = None
    max: int | None = None
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class LimitStory:
    """A limit of the route. `name` is what clients are told of a rate, and the policy (or route) of a cap. `key` is who
    counts as one for this request, `stands_in` that it is not what `per` says, for want of that; `unmet` says why the
    limit is not asked for this request."""

    kind: str
    name: str
    origin: str
    allows: str
    per: str
    key: str | None
    stands_in: bool = False
    excess: str = ""
    unmet: str | None = None
    count: Count | None = None


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The request as an endpoint would get it. `body` is None where it cannot be shown, or there is none. `chosen` says
    why it is this endpoint, where there are others."""

    endpoint: str
    chosen: str
    lines: tuple[str, ...]
    body_bytes: int
    body: str | None = None


@dataclass(frozen=True, slots=True)
class ClockStory:
    """One clock between client and upstream. `races` is True for those that run while the upstream is silent."""

    name: str
    seconds: float | None
    origin: str
    then: str
    races: bool = False


@dataclass(frozen=True, slots=True)
class Race:
    """Which clock ends a call whose upstream stays silent, and the longest hold that none of the others cuts."""

    first: str
    seconds: float
    then: str
    largest_hold: float | None = None
    because: str | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What would happen if: played on the real event table. `outcome` None: the call goes on."""

    name: str
    then: str
    outcome: str | None = None
    blame: str | None = None
    answer: Answer | None = None
    replayed: bool = False  # sent a second time before that


@dataclass(frozen=True, slots=True)
class OwnWords:
    """What a client would see of a refusal that it may meet. `own`: the dialect has words for that `status`."""

    status: int
    own: bool
    answer: Answer


@dataclass(frozen=True, slots=True)
class Setting:
    """An effective value and where it was written."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one request. `as_if_admitted`: a step refused it, the rest shows what would follow if not."""

    method: str
    target: str
    host: str
    peer: str
    verdict: Verdict
    client: ClientStory | None = None
    route: RouteStory | None = None
    admission: tuple[StepStory, ...] = ()
    as_if_admitted: bool = False
    caller: Caller | None = None
    hold: HoldStory | None = None
    rules: tuple[Rule, ...] = ()  # of its dialect, for this request
    refusals: tuple[OwnWords, ...] = ()  # where the dialect has words of its own for any
    limits: tuple[LimitStory, ...] = ()
    counts_from: str | None = None  # who told the counts of `limits`, or why nobody did
    forwarded: Forwarded | None = None
    clocks: tuple[ClockStory, ...] = ()
    race: Race | None = None
    events: tuple[Event, ...] = ()
    settings: tuple[Setting, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the client gets what it asked for: not a refusal."""
        return self.verdict.result != "refused"
