"""A simulated platform's numbers: creators, posts and sales as a pure function of a seed and an instant.

Nothing here is measured and nothing is random when asked: every draw is a hash of the seed and a name, every curve is
integer arithmetic, so the same world gives the same number at the same instant wherever and however often it is asked.
It knows no HTTP and no JSON: ``connectors.synthetic_platform`` serves it. Sizes are of the order found in practice
(reach falls and fees rise with the tier); they are no benchmark of anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from connectors.contract import MICRO

DAY = timedelta(days=1)
_SOON = 2 * 86_400  # seconds within which the slow half of a curve has half of its total


class Range(msgspec.Struct, frozen=True):
    """Both ends included."""

    low: int
    high: int


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """Creators of one size. Shares are per mille: of followers shown a post, of impressions that like it."""

    followers: Range
    shown: Range
    likes: Range
    fee: Range  # whole units of the currency


TIERS: Mapping[str, Tier] = {
    "nano": Tier(followers=Range(1_200, 4_800), shown=Range(420, 700), likes=Range(60, 95), fee=Range(40, 90)),
    "micro": Tier(followers=Range(8_000, 95_000), shown=Range(260, 460), likes=Range(40, 70), fee=Range(150, 950)),
    "macro": Tier(
        followers=Range(150_000, 1_800_000), shown=Range(110, 220), likes=Range(14, 24), fee=Range(5_000, 18_000)
    ),
    "mega": Tier(
        followers=Range(6_000_000, 14_000_000), shown=Range(50, 110), likes=Range(8, 15), fee=Range(40_000, 70_000)
    ),
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign of the world. ``begins`` counts from the world's start; ``tiers`` says how many creators of each size.

    ``clicks`` is link clicks per 10,000 impressions, ``sales`` goal events per 10,000 of those, ``half_life`` the
    seconds after which a post has half of the fast half of its numbers.
    """

    key: str
    title: str
    begins: timedelta
    length: timedelta
    posts: int
    tiers: Mapping[str, int]
    clicks: Range
    sales: Range
    half_life: int
    hashtag: str
    budget: Range  # media spend of one boosted post, whole units of the currency
    order_value: Range  # cents


DEMO: tuple[Plan, ...] = (
    Plan(
        key="spring-broad",
        title="Spring, wide audience",
        begins=timedelta(0),
        length=6 * 7 * DAY,
        posts=60,
        tiers={"mega": 1, "macro": 3, "micro": 5, "nano": 3},
        clicks=Range(60, 120),
        sales=Range(60, 130),
        half_life=18 * 3600,
        hashtag="springbrew",
        budget=Range(150, 900),
        order_value=Range(1_900, 7_900),
    ),
    Plan(
        key="barista-micro",
        title="Home baristas, five days",
        begins=5 * 7 * DAY,
        length=5 * DAY,
        posts=12,
        tiers={"micro": 2, "nano": 4},
        clicks=Range(260, 460),
        sales=Range(420, 780),
        half_life=7 * 3600,
        hashtag="homebarista",
        budget=Range(20, 90),
        order_value=Range(2_900, 11_900),
    ),
)
"""Six weeks for everybody and, in the sixth, five days for a niche."""


class Creator(msgspec.Struct, frozen=True, kw_only=True):
    """A simulated person. ``growth`` is followers gained per day and million."""

    id: str
    handle: str
    name: str
    tier: str
    followers: int
    growth: int


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A simulated post with the totals that its curves approach. Money is in millionths."""

    id: str
    plan: Plan
    creator: Creator
    number: int
    published_at: datetime
    content_type: str
    totals: Mapping[str, int]
    reach: int
    followers: int
    fee: int
    budget: int
    boosted_days: int
    corrected_at: int  # seconds of age at which likes are found to be fake; 0: never

    @property
    def utm_campaign(self) -> str:
        """What its links carry."""
        return self.plan.key

    @property
    def promo_code(self) -> str:
        """The code that its creator gives away."""
        return f"{self.creator.handle.upper().replace('.', '')}10"


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A goal event, an order or a refund. ``known_by`` says what of the post the shop has seen."""

    id: str
    kind: str
    at: datetime
    post: Post
    known_by: str  # subject | utm | code | nothing
    customer: str
    value: int | None = None
    refund_of: str | None = None


class World:
    """Everything that the simulated platform knows. ``start`` is an aware instant of whole seconds."""

    def __init__(
        self,
        seed: int,
        start: datetime,
        campaigns: tuple[Plan, ...] = DEMO,
        zone: str = "Europe/Berlin",
        currency: str = "EUR",
    ) -> None:
        self.seed = seed
        self.start = start.astimezone(UTC).replace(microsecond=0)
        self.zone = zone
        self.currency = currency
        self.plans = campaigns
        crews = [(plan, self._crew(plan)) for plan in campaigns]
        self.creators = tuple(creator for _, crew in crews for creator in crew)
        posts = [self._post(plan, crew, number) for plan, crew in crews for number in range(plan.posts)]
        self.posts = tuple(sorted(posts, key=lambda post: (post.published_at, post.id)))
        self.sales = tuple(sorted(self._all_sales(), key=lambda sale: (sale.at, sale.id)))

    # what is there at an instant

    def published(self, at: datetime) -> tuple[Post, ...]:
        """Return the posts that are out at ``at``, oldest first."""
        return tuple(post for post in self.posts if post.published_at <= at)

    def counters(self, post: Post, at: datetime) -> dict[str, int]:
        """Return the totals of a post since publication; pictures have no views."""
        age = _seconds(at - post.published_at)
        numbers = {key: _grown(total, age, post.plan.half_life) for key, total in post.totals.items()}
        if post.corrected_at and age >= post.corrected_at:
            numbers["likes"] -= numbers["likes"] // 50
        return numbers

    def reach(self, post: Post, at: datetime) -> int:
        """Return the distinct accounts reached since publication."""
        return _grown(post.reach, _seconds(at - post.published_at), post.plan.half_life)

    def followers(self, creator: Creator, at: datetime) -> int:
        """Return the followers of a creator: steady growth from the start of the world on."""
        elapsed = max(0, _seconds(at - self.start))
        return creator.followers + creator.followers * creator.growth * elapsed // (86_400 * 1_000_000)

    def daily(self, post: Post, day: date, at: datetime) -> dict[str, int]:
        """Return the money of a post on a local day as the platform states it at ``at``; empty where there is none.

        Media spend grows through the day; for a quarter of the days it is stated a little low and corrected within
        two days. The creator's fee is a cost of the day of publication.
        """
        first = post.published_at.astimezone(ZoneInfo(self.zone)).date()
        index = (day - first).days
        money: dict[str, int] = {}
        if index == 0 and post.published_at <= at:
            money["fee_creator"] = post.fee
        if post.budget and 0 <= index < post.boosted_days:
            money["spend_media"] = self._spend(post, day, index, at)
        return {key: value for key, value in money.items() if value}

    def _spend(self, post: Post, day: date, index: int, at: datetime) -> int:
        weight, weights = post.boosted_days - index, post.boosted_days * (post.boosted_days + 1) // 2
        whole = post.budget * weight // weights
        begin, end = self._day(day)
        if at < end:
            begin = max(begin, post.published_at)
            return max(0, whole * _seconds(at - begin) // _seconds(end - begin))
        late = self._draw(post.id, day.isoformat(), "restated") % 4 == 0
        settled = end + timedelta(hours=24 + self._draw(post.id, day.isoformat(), "settled") % 20)
        return whole * 97 // 100 if late and at < settled else whole

    def _day(self, day: date) -> tuple[datetime, datetime]:
        zone = ZoneInfo(self.zone)
        begin, end = (datetime.combine(one, time(), zone).astimezone(UTC) for one in (day, day + DAY))
        return begin, end

    # how it is made

    def _draw(self, *parts: object) -> int:
        text = "|".join(str(part) for part in (self.seed, *parts))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

    def _within(self, bounds: Range, *parts: object) -> int:
        return bounds.low + self._draw(*parts) % (bounds.high - bounds.low + 1)

    def _crew(self, plan: Plan) -> tuple[Creator, ...]:
        return tuple(
            self._creator(plan, tier, number) for tier, count in plan.tiers.items() for number in range(1, count + 1)
        )

    def _creator(self, plan: Plan, tier: str, number: int) -> Creator:
        handle = f"{tier}.{plan.key.partition('-')[2]}.{number}"
        key = f"profile-{plan.key}-{tier}-{number}"
        return Creator(
            id=key,
            handle=handle,
            name=f"Simulated {tier} creator {number}",
            tier=tier,
            followers=self._within(TIERS[tier].followers, key, "followers"),
            growth=self._within(Range(200, 4_000), key, "growth"),
        )

    def _post(self, plan: Plan, crew: tuple[Creator, ...], number: int) -> Post:
        key = f"post-{plan.key}-{number + 1}"
        creator = crew[number % len(crew)]
        slot = plan.length // plan.posts
        at = self.start + plan.begins + slot * number + slot * (self._draw(key, "jitter") % 900) // 1000
        followers = self.followers(creator, at)
        content = ("video", "carousel", "video", "image")[self._draw(key, "content") % 4]
        budget = self._within(plan.budget, key, "budget") if self._draw(key, "boosted") % 3 else 0
        totals = self._totals(key, plan, creator, followers, budget)
        if content == "image":
            del totals["views"]
        return Post(
            id=key,
            plan=plan,
            creator=creator,
            number=number + 1,
            published_at=at.replace(microsecond=0),
            content_type=content,
            totals=totals,
            reach=totals["impressions"] * self._within(Range(620, 880), key, "reach") // 1000,
            followers=followers,
            fee=self._within(TIERS[creator.tier].fee, creator.id, "fee") * MICRO * (0 if number >= len(crew) else 1),
            budget=budget * MICRO + (self._draw(key, "cents") % MICRO if budget else 0),
            boosted_days=self._within(Range(2, 5), key, "days"),
            corrected_at=self._within(Range(20, 70), key, "hours") * 3600 if self._draw(key, "fake") % 8 == 0 else 0,
        )

    def _totals(self, key: str, plan: Plan, creator: Creator, followers: int, budget: int) -> dict[str, int]:
        tier = TIERS[creator.tier]
        shown = followers * self._within(tier.shown, key, "shown") // 1000
        bought = budget * 1000 // self._within(Range(4, 9), key, "price")  # whole units per 1,000 impressions
        impressions = shown + bought
        likes = impressions * self._within(tier.likes, key, "likes") // 1000
        shares = {"comments": Range(30, 80), "shares": Range(20, 70), "saves": Range(30, 90)}
        return {
            "impressions": impressions,
            "views": impressions * self._within(Range(550, 900), key, "views") // 1000,
            "likes": likes,
            **{name: likes * self._within(bounds, key, name) // 1000 for name, bounds in shares.items()},
            "clicks_link": impressions * self._within(plan.clicks, key, "clicks") // 10_000,
        }

    def _all_sales(self) -> Iterator[Sale]:
        for post in self.posts:
            goals = post.totals["clicks_link"] * self._within(post.plan.sales, post.id, "sales") // 10_000
            for number in range(1, goals + 1):
                yield from self._sale(post, number)

    def _sale(self, post: Post, number: int) -> Iterator[Sale]:
        key = f"{post.id}-{number}"
        # The inverse of the fast curve: age at which a share q of the total is there is half_life * q / (1 - q).
        share = self._draw(key, "when") % 940
        age = post.plan.half_life * share // (1000 - share) + self._draw(key, "delay") % 3600
        known_by = ("subject",) * 14 + ("utm",) * 3 + ("code",) * 2 + ("nothing",)
        at, customer = post.published_at + timedelta(seconds=age), f"customer-{self._draw(key, 'customer'):016x}"
        known = known_by[self._draw(key, "known") % len(known_by)]
        order = self._draw(key, "order") % 100 < 55  # noqa: PLR2004 - the share of goals that are orders
        if not order:
            yield Sale(id=f"lead-{key}", kind="conversion", at=at, post=post, known_by=known, customer=customer)
            return
        value = self._within(post.plan.order_value, key, "value") * (MICRO // 100)
        first = Sale(id=f"order-{key}", kind="order", at=at, post=post, known_by=known, customer=customer, value=value)
        yield first
        if self._draw(key, "refund") % 14 == 0:
            back = value if self._draw(key, "whole") % 2 else value // 20_000 * 10_000
            later = at + timedelta(hours=6 + self._draw(key, "later") % 90)
            yield msgspec.structs.replace(
                first, id=f"refund-{key}", kind="refund", at=later, value=back, refund_of=first.id
            )


def _grown(total: int, age: int, half_life: int) -> int:
    """Return the part of ``total`` there at ``age`` seconds: half of it comes fast, half over days; never falling."""
    if age <= 0:
        return 0
    fast = total // 2
    return fast * age // (age + half_life) + (total - fast) * age // (age + _SOON)


def _seconds(span: timedelta) -> int:
    return span // timedelta(seconds=1)
