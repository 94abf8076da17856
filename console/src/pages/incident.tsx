// The story of one incident: what was seen, who was blamed and who was not, what was done and what came of it.
import { useMemo } from "preact/hooks";
import { Chart } from "../components/chart";
import { ActionDiff } from "../components/diff";
import { EffectLine } from "../components/effect";
import { EvidenceList } from "../components/evidence";
import { Icon, type IconName } from "../components/icons";
import { useLoad } from "../components/load";
import { told } from "../components/record_line";
import { Confidence, Tag, Time } from "../components/small";
import { Empty, Loading, Problem } from "../components/states";
import { Voices } from "../components/voices";
import { get, query, Refused } from "../data/client";
import { duration, human, instant, millis, percent, rate } from "../data/format";
import { actions, changes, incidents, picture, proposals, services } from "../data/live";
import { to } from "../data/route";
import type { AuditRecord, Incident, Items, Kind, Series } from "../data/types";
import { culprit } from "./incidents";

const BEFORE_MS = 90_000;
const AFTER_MS = 60_000;

export function IncidentStory({ id }: { id: string }) {
  const kept = incidents.value?.find((one) => one.id === id);
  const read = useLoad(() => get<Incident>(`/v1/incidents/${encodeURIComponent(id)}`), [id, changes.value]);
  const story = useLoad(() => get<Items<AuditRecord>>(`/v1/audit${query({ incident: id, limit: 300 })}`), [id, changes.value]);
  const one = kept ?? read.value;
  if (!one) return read.why ? (read.why instanceof Refused && read.why.status === 404 ? <Empty icon="incident" title={`${id} is not kept in memory`}>Its records stand in the <a href="#/audit">audit log</a>.</Empty> : <Problem why={read.why} />) : <Loading lines={8} />;
  const own = (actions.value ?? []).filter((action) => action.incident === id);
  const proposed = (proposals.value ?? []).filter((proposal) => proposal.incident === id);
  const waits = proposed.filter((proposal) => proposal.state === "pending");
  return (
    <>
      <div class="page-head">
        <div>
          <nav class="crumbs" aria-label="Where this is"><a href="#/incidents">Incidents</a><span>/</span>{one.id}</nav>
          <h1 class="row wrap-anywhere">{human(one.cause.kind)}: <span class="mono">{culprit(one)}</span> <Tag of={one.state} /></h1>
          <p class="wrap-anywhere">{one.summary}</p>
        </div>
        {waits.length > 0 && <a class="btn primary" href="#/approvals">A proposal waits for you</a>}
      </div>
      <div class="cols main">
        <div class="stack">
          <Plots of={one} />
          <section class="panel" aria-labelledby="did"><header><h2 id="did">What was done</h2></header>
            {own.length ? own.map((action) => (
              <div key={action.id} class="pad stack tight">
                <div class="row"><Tag of={action.phase} /><b>{human((action.action.kind as Kind).type)}</b><span class="muted">{action.id} by {action.issued_by} at <Time ms={action.started_ms} /></span></div>
                <ActionDiff kind={action.action.kind as Kind} service={action.action.service} />
                <EffectLine of={action.effect ?? null} />
              </div>
            )) : <div class="pad muted">Nothing{waits.length ? " yet: a proposal waits for approval" : ""}.</div>}
          </section>
          <Story of={story.value?.items ?? null} why={story.why} />
        </div>
        <div class="stack">
          <section class="panel" aria-labelledby="facts"><header><h2 id="facts">Diagnosis</h2></header>
            <dl class="kv pad">
              <dt>Culprit</dt><dd class="mono">{culprit(one)}</dd>
              <dt>Shows at</dt><dd><a href={to("services", one.service)}>{one.service}</a></dd>
              <dt>Sure</dt><dd><Confidence value={one.confidence} /></dd>
              <dt>Began</dt><dd>{instant(one.onset_ms)}</dd>
              <dt>Found</dt><dd>{duration(one.opened_ms - one.onset_ms)} later</dd>
              <dt>{one.closed_ms ? "Lasted" : "State"}</dt><dd>{one.closed_ms ? duration(one.closed_ms - one.onset_ms) : "still open"}</dd>
            </dl>
          </section>
          <section class="panel" aria-labelledby="seen"><header><h2 id="seen">Evidence</h2></header><div class="pad"><EvidenceList of={one.evidence} /></div></section>
          <section class="panel" aria-labelledby="not"><header><h2 id="not">Also considered</h2></header>
            {one.alternatives.length ? <ul class="pad stack tight">{one.alternatives.map((text) => <li key={text} class="muted wrap-anywhere">{text}</li>)}</ul> : <div class="pad muted">No other culprit fitted the evidence.</div>}
          </section>
          {proposed.some((proposal) => proposal.speakers.length > 0) && (
            <section class="panel" aria-labelledby="said"><header><h2 id="said">Who spoke</h2></header><div class="pad"><Voices of={proposed[0]?.speakers ?? []} /></div></section>
          )}
        </div>
      </div>
    </>
  );
}

/** The culprit's and the service's lines around the onset, with what is usual. */
function Plots({ of }: { of: Incident }) {
  const until = (of.closed_ms ?? picture.value?.at_ms ?? of.updated_ms) + AFTER_MS;
  const since = of.onset_ms - BEFORE_MS;
  const turn = of.state === "open" ? Math.floor((picture.value?.at_ms ?? 0) / 4_000) : 0;
  const loaded = useLoad(async () => {
    const whole = get<Items<Series>>(`/v1/series${query({ service: of.cause.service, since })}`);
    const part = of.cause.endpoint ? get<Items<Series>>(`/v1/series${query({ service: of.cause.service, endpoint: of.cause.endpoint, since })}`) : null;
    return { whole: (await whole).items[0], part: (await part)?.items[0] };
  }, [of.id, turn]);
  const { whole, part } = loaded.value ?? {};
  const grid = useMemo(() => (whole?.rps ?? []).map((_, n) => (whole?.start_ms ?? 0) + n * (whole?.step_ms ?? 1)).filter((ms) => ms <= until), [whole]);
  const own = actions.value?.filter((action) => action.incident === of.id) ?? [];
  const marks = [
    { ms: of.onset_ms, label: "began", colour: "#e5484d" }, { ms: of.opened_ms, label: "", colour: "#8f8f8f" },
    ...own.map((action) => ({ ms: action.started_ms, label: "acted", colour: "#5b7fff" })),
    ...(of.closed_ms ? [{ ms: of.closed_ms, label: "closed", colour: "#30a46c" }] : []),
  ];
  const lined = (series: Series | undefined, values: (number | null)[] | undefined): (number | null)[] =>
    grid.map((ms) => (series ? values?.[Math.round((ms - series.start_ms) / series.step_ms)] ?? null : null));
  if (!loaded.value) return <div class="panel"><Loading /></div>;
  if (!grid.length) return <div class="panel"><Empty icon="quiet" title="No measurements of that time are kept any more" /></div>;
  const usual = services.value.find((one) => one.service === of.cause.service)?.expected;
  const pair = (band: number[] | undefined): [number, number] | undefined => (band ? [band[0] ?? 0, band[1] ?? 0] : undefined);
  const lines = (pick: (series: Series) => (number | null)[] | undefined) => [
    ...(part ? [{ label: of.cause.endpoint ?? "", values: lined(part, pick(part)), colour: "bad" }] : []),
    { label: of.cause.service, values: lined(whole, whole && pick(whole)), colour: part ? "accent" : "bad" },
  ];
  return (
    <div class="panel">
      <Chart title="Share of failures" reach={0.01} times={grid} lines={lines((s) => s.failure_share)} band={pair(usual?.failure_share)} marks={marks} show={percent} height={150} />
      <div class="cols" style={{ gap: 0 }}>
        <Chart title="99th percentile" times={grid} lines={lines((s) => s.p99_ms)} band={pair(usual?.p99_ms)} marks={marks} show={millis} height={110} />
        <Chart title="Requests a second" times={grid} lines={lines((s) => s.rps)} band={part ? undefined : pair(usual?.rps)} marks={marks} show={rate} height={110} />
      </div>
    </div>
  );
}

const ICONS: Record<string, IconName> = { incident_opened: "incident", incident_closed: "check", proposal: "action", verdict: "shield", decision: "person", intent: "play", effect: "check", undo: "undo", refusal: "cross" };

function Story({ of, why }: { of: AuditRecord[] | null; why: unknown }) {
  const shown = (of ?? []).filter((record, n) => record.kind !== "incident_updated" || n > (of?.length ?? 0) - 4);
  return (
    <section class="panel" aria-labelledby="story"><header><h2 id="story">Story</h2><span class="end">every step is a record</span></header>
      {why ? <Problem why={why} /> : !of ? <Loading /> : (
        <ol class="story" style={{ paddingTop: "12px" }}>
          {shown.map((record) => {
            const { title, detail, tone } = told(record);
            return (
              <li key={record.seq}>
                <span class={`mark ${tone}`}><Icon name={ICONS[record.kind] ?? "quiet"} /></span>
                <div><a class="wrap-anywhere" style={{ color: "var(--text)" }} href={to("audit", String(record.seq))}>{title}</a><p>{detail}</p></div>
                <Time ms={Date.parse(record.at)} />
              </li>
            );
          })}
        </ol>
      )}
    </section>
  );
}
