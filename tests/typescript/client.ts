// What a frontend does with the API, in types that are made from its description: no cast, no `any`, no `undefined`.

import type { components, operations } from "./schema";

type Answer = components["schemas"]["AnswerOut"];
type Metric = components["schemas"]["MetricOut"];
type Problem = components["schemas"]["Problem"];
type Asked = NonNullable<operations["getCampaignKpis"]["parameters"]["query"]>;
type Token = components["schemas"]["TokenOutput"];
type Ticket = components["schemas"]["StreamTicket"];
type TokenAsked = operations["createToken"]["requestBody"]["content"]["application/json"];

export type Told<T> = { kind: "answer"; value: T; tag: string | null } | { kind: "unchanged" } | { kind: "problem"; problem: Problem };

async function told<T>(response: Response): Promise<Told<T>> {
  if (response.status === 304) return { kind: "unchanged" };
  if (!response.ok) {
    const problem: Problem = await response.json();
    return { kind: "problem", problem };
  }
  const value: T = await response.json();
  return { kind: "answer", value, tag: response.headers.get("etag") };
}

export async function ask(base: string, token: string, campaign: string, asked: Asked, tag?: string): Promise<Told<Answer>> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) if (value !== null && value !== undefined) query.set(name, String(value));
  const headers: Record<string, string> = { authorization: `Bearer ${token}` };
  if (tag !== undefined) headers["if-none-match"] = tag;
  return told<Answer>(await fetch(`${base}/v1/campaigns/${campaign}/kpis?${query}`, { headers }));
}

export async function tokenFor(base: string, key: string, campaign: string): Promise<Told<Token>> {
  const body: TokenAsked = { campaigns: [campaign], scopes: ["kpis:read"], seconds: 900 };
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", "idempotency-key": "page-1" };
  return told<Token>(await fetch(`${base}/v1/tokens`, { method: "POST", headers, body: JSON.stringify(body) }));
}

export async function watch(base: string, key: string, campaign: string, told: (posting: string) => void): Promise<EventSource> {
  const answer = await fetch(`${base}/v1/campaigns/${campaign}/stream/tickets`, { method: "POST", headers: { authorization: `Bearer ${key}` } });
  const { ticket }: Ticket = await answer.json();
  const asked: NonNullable<operations["streamCampaign"]["parameters"]["query"]> = { range: "last_7d", metrics: "ctr", ticket };
  const query = new URLSearchParams({ range: asked.range ?? "", metrics: asked.metrics ?? "", ticket: asked.ticket ?? "" });
  const source = new EventSource(`${base}/v1/campaigns/${campaign}/stream?${query}`);
  source.addEventListener("delta", (event: MessageEvent<string>) => told(event.lastEventId));
  return source;
}

export function card(slug: string, answer: Answer): string {
  const metric: Metric | undefined = answer.totals[slug];
  if (metric === undefined) return `${slug}: not asked`;
  const value: number | string | null = metric.value;
  if (value === null) {
    const reason: string | null = metric.reason;
    return `${slug}: ${metric.state}${reason === null ? "" : ` (${reason})`}`;
  }
  const low: number | string | null = metric.interval === null ? null : metric.interval.low;
  const before: number | string | null = metric.compare === null ? null : metric.compare.value;
  const currency: string | null = metric.currency;
  return `${slug}: ${value}${currency ?? ""} from ${low ?? "?"}, before ${before ?? "?"} as of ${answer.meta.as_of}`;
}

export function leftOut(answer: Answer, slug: string): string {
  const rest = answer.totals[slug]?.without_suspects;
  const value: number | string | null = rest === undefined ? null : rest.value;
  return `${value ?? "?"} without ${(answer.meta.suspects ?? []).map((one) => `${one.profile ?? "?"} (${one.left_out} posts)`).join(", ")}`;
}

export const asked: Asked = { metrics: "ctr,cpa", range: "last_7d", compare: "previous_period", format: "json" };

export function series(answer: Answer, slug: string): (number | string | null)[] {
  return answer.data.map((row) => row.metrics[slug]?.value ?? null);
}

export function hint(problem: Problem): string[] {
  return problem.errors.map((one) => (one.did_you_mean === null ? one.detail : `did you mean ${one.did_you_mean}?`));
}

export const question: components["schemas"]["QueryInput"] = {
  scope: { campaigns: ["cmp_01890a5d0000700080000000000000aa"] },
  metrics: ["ctr", { key: "cpa", attribution: { model: "linear" } }],
  range: "last_7d",
  granularity: "day",
  filters: ["and", [["is", "platform", ["tiktok"]], ["not", [["is", "tier", ["nano"]]]]]],
  having: ["gte", "impressions", 100],
  order: ["ctr", "desc", { by: "lower_limit" }],
  options: { exclude_suspect: true },
};
