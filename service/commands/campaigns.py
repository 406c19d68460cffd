"""``campaign``: flights with dates, money, goals and the rules that say what counts in them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from service.api.campaigns import CampaignInput, CampaignOutput, CampaignQuery, create_campaign, list_campaigns
from service.api.models import Page, Paging
from service.api.state import Services
from service.commands import output, running, words
from service.commands.endings import Code
from service.commands.running import JsonOption, WorkspaceOption
from service.errors import Invalid
from service.records import CampaignKind

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Plan campaigns and say what counts in them.")


@app.command()
def add(  # noqa: PLR0913 - an option is a parameter
    name: Annotated[str, typer.Argument(help="what people call it")],
    *,
    kind: Annotated[CampaignKind, typer.Option(help="broad: a wide audience; micro: a niche, for days")],
    starts: Annotated[str, typer.Option(metavar="DAY", help="first local day, YYYY-MM-DD")],
    ends: Annotated[str, typer.Option(metavar="DAY", help="last local day, inclusive")],
    workspace: WorkspaceOption = None,
    strategy: Annotated[str | None, typer.Option(metavar="ID", help="stg_...")] = None,
    zone: Annotated[str | None, typer.Option(help="its days are those of this zone; default: the workspace's")] = None,
    currency: Annotated[str | None, typer.Option(help="default: the workspace's")] = None,
    budget: Annotated[str | None, typer.Option(metavar="AMOUNT")] = None,
    margin: Annotated[str | None, typer.Option(help="share of a conversion's value that is left, as 0.35")] = None,
    goal: Annotated[list[str] | None, typer.Option(metavar="KPI=TARGET", help="may be repeated")] = None,
    tactic: Annotated[list[str] | None, typer.Option(help="a label; may be repeated")] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,...",
            help="what counts: source, platform, platform_campaign, hashtag, creator, utm_campaign, in_flight=yes; all"
            " conditions of a rule hold, rules are alternatives; may be repeated",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Plan a campaign; what its rules find counts in it from now on."""

    async def work(parts: Services) -> Code:
        home = await running.workspace_of(parts, workspace)
        wanted: dict[str, Any] = {
            "name": name,
            "kind": kind.value,
            "starts": starts,
            "ends": ends,
            "strategy": strategy,
            "zone": zone,
            "currency": currency,
            "budget": budget,
            "margin": margin,
            "goals": [{"metric": one, "target": target} for one, target in words.pairs(goal, "--goal").items()],
            "tactics": list(tactic or ()),
            "rules": [_rule(text) for text in rule or ()],
        }
        made = await create_campaign(CampaignInput.model_validate(wanted), running.caller(home.workspace_id), parts)
        if as_json:
            output.show_json(made)
        else:
            output.show_lines((f"campaign {made.id}",))
        return Code.DONE

    running.run(work)


def _rule(text: str) -> dict[str, Any]:
    found: dict[str, Any] = dict(words.pairs(text.split(","), "--rule"))
    if "in_flight" in found:
        if found["in_flight"] not in {"yes", "no"}:
            raise Invalid("in_flight is yes or no", pointer="--rule")
        found["in_flight"] = found["in_flight"] == "yes"
    return found


@app.command(name="list")
def show(
    *,
    workspace: WorkspaceOption = None,
    archived: Annotated[bool, typer.Option("--archived", help="those that were archived too")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the campaigns of a workspace."""

    async def work(parts: Services) -> Code:
        home = await running.workspace_of(parts, workspace)
        caller = running.caller(home.workspace_id)

        async def listed(paging: Paging) -> Page[CampaignOutput]:
            query = CampaignQuery(limit=paging.limit, after=paging.after, archived="any" if archived else "no")
            return await list_campaigns(caller, parts, query)

        found = await running.every(listed)
        if as_json:
            output.show_json({"data": found})
        else:
            columns = ("campaign", "name", "kind", "starts", "ends", "zone", "budget", "rules")
            output.show_table(columns, map(_row, found), empty="there is no campaign")
        return Code.DONE

    running.run(work)


def _row(campaign: CampaignOutput) -> tuple[str, ...]:
    budget = f"{campaign.budget} {campaign.currency}" if campaign.budget is not None else "-"
    dates = (campaign.starts.isoformat(), campaign.ends.isoformat())
    name = f"{campaign.name} (archived)" if campaign.archived else campaign.name
    return campaign.id, name, campaign.kind.value, *dates, campaign.zone, budget, str(len(campaign.rules))
