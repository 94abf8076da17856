// One service: how it does against what is usual, and each endpoint of it.
import { useMemo, useState } from "preact/hooks";
import { Chart } from "../components/chart";
import { useLoad } from "../components/load";
import { HealthMark, Tag } from "../components/small";
import { Spark } from "../components/spark";
import { Empty, Loading, Problem } from "../components/states";
import { get, query } from "../data/client";
import { human, millis, percent, plural, rate } from "../data/format";
import { endpointHealth, serviceHealth, unseen } from "../data/health";
import { liveActions, openIncidents, picture, services } from "../data/live";
import { to } from "../data/route";
import { titleOf } from "../data/changes_of";
import type { Endpoint, Forecast, Items, Kind, Series, Service } from "../data/types";

const AGAIN_MS = 4_000;
const MINUTE_MS = 60_000;
const SPANS = [["5 min", 300_000], ["15 min", 900_000], ["1 h", 3_600_000]] as const;
const PAGE = 100;
type Band = [number, number] | undefined;
type Usual = { rps: Band; failures: Band; p99: Band };

export function ServicePage({ name }: { name: string }) {
  const service = services.value.find((one) => one.service === name);
  const [span, setSpan] = useState<number>(900_000);
  const at = picture.value?.at_ms ?? 0;
  const turn = Math.floor(at / AGAIN_MS);
  const own = useLoad(() => get<Items<Series>>(`/v1/series${query({ service: name, since: at - span })}`), [name, span, turn]);
  const parts = useLoad(() => get<Items<Series>>(`/v1/series${query({ service: name, endpoints: true, since: at - 300_000 })}`), [name, turn]);
  const coming = useLoad(() => get<Items<Forecast>>("/v1/forecasts"), [Math.floor(at / MINUTE_MS)]);
  if (!picture.value) return <Loading lines={8} />;
  if (!service) return <Empty icon="mesh" title="No such service has traffic now"><a href="#/">To the mesh</a></Empty>;
  return (
    <>
      <div class="page-head">
        <div>
          <nav class="crumbs" aria-label="Where this is"><a href="#/">Mesh</a><span>/</span></nav>
          <h1 class="row wrap-anywhere">{service.service} <HealthMark health={serviceHealth(service, openIncidents.value)} /></h1>
          <p>Called by {service.callers.join(", ") || "nobody"} · learned from {plural(service.learned_s, "second")} of quiet traffic</p>
          {unseen(service) && <p class="warn wrap-anywhere">Not all of it is seen: {unseen(service)}</p>}
        </div>
        <div class="row" role="group" aria-label="Time span">
          {SPANS.map(([label, ms]) => <button key={ms} class={`btn small ${ms === span ? "" : "plain"}`} aria-pressed={ms === span} onClick={() => setSpan(ms)}>{label}</button>)}
        </div>
      </div>
      <div class="stack">
        <Numbers of={service} />
        {own.why ? <Problem why={own.why} /> : <Charts series={own.value?.items[0]} service={service} read={own.value !== null} coming={coming.value?.items.find((one) => one.service === name)} />}
        {service.usual_rps !== undefined && service.usual_rps !== null && <p class="muted">At this time of the day and week {rate(service.usual_rps)} requests a second are usual.</p>}
        <Endpoints of={service} parts={parts.value?.items ?? []} />
        <LiveActions service={name} />
      </div>
    </>
  );
}

function Numbers({ of }: { of: Service }) {
  const usual = (band: [number, number] | number[] | undefined, show: (n: number) => string) => band && <span class="expect">usual {show(band[0] ?? 0)} – {show(band[1] ?? 0)}</span>;
  return (
    <dl class="stats">
      <div class="stat"><dt>Requests</dt><dd>{rate(of.rps)} <small>/s</small>{usual(of.expected?.rps, rate)}</dd></div>
      <div class="stat"><dt>Failures</dt><dd>{percent(of.failure_share)}{usual(of.expected?.failure_share, percent)}</dd></div>
      <div class="stat"><dt>p50</dt><dd>{millis(of.p50_ms)}{usual(of.expected?.p50_ms, millis)}</dd></div>
      <div class="stat"><dt>p99</dt><dd>{millis(of.p99_ms)}{usual(of.expected?.p99_ms, millis)}</dd></div>
    </dl>
  );
}

function Charts({ series, service, read, coming }: { series: Series | undefined; service: Service; read: boolean; coming: Forecast | undefined }) {
  const times = useMemo(() => (series?.rps ?? []).map((_, n) => (series?.start_ms ?? 0) + n * (series?.step_ms ?? 0)), [series]);
  const marks = openIncidents.value.filter((one) => one.cause.service === service.service).map((one) => ({ ms: one.onset_ms, label: one.id, colour: "#e5484d" }));
  if (!series) return <div class="panel">{read ? <Empty icon="quiet" title="No measurements are kept of it yet" /> : <Loading />}</div>;
  const band = service.expected;
  const pair = (of: number[] | undefined): [number, number] | undefined => (of ? [of[0] ?? 0, of[1] ?? 0] : undefined);
  return (
    <div class="cols">
      <div class="panel"><Chart title="Requests a second" times={times} lines={[{ label: "req/s", values: series.rps ?? [], colour: "accent" }]} band={pair(band?.rps)} marks={marks} show={rate} ahead={coming} /></div>
      <div class="panel"><Chart title="Share of failures" reach={0.01} times={times} lines={[{ label: "failures", values: series.failure_share ?? [], colour: "bad" }]} band={pair(band?.failure_share)} marks={marks} show={percent} /></div>
      <div class="panel"><Chart title="Median" times={times} lines={[{ label: "p50", values: series.p50_ms ?? [], colour: "info" }]} band={pair(band?.p50_ms)} marks={marks} show={millis} /></div>
      <div class="panel"><Chart title="99th percentile" times={times} lines={[{ label: "p99", values: series.p99_ms ?? [], colour: "violet" }]} band={pair(band?.p99_ms)} marks={marks} show={millis} /></div>
    </div>
  );
}

function Endpoints({ of, parts }: { of: Service; parts: Series[] }) {
  const [shown, setShown] = useState(PAGE);
  const by = useMemo(() => new Map(parts.map((one) => [one.endpoint, one])), [parts]);
  const order = { bad: 0, out: 1, warn: 2, lost: 3, mute: 3, quiet: 3, good: 4 };
  const sorted = useMemo(() => [...of.endpoints].sort((a, b) => order[endpointHealth(a)] - order[endpointHealth(b)] || a.endpoint.localeCompare(b.endpoint)), [of.endpoints]);
  return (
    <section class="panel" aria-labelledby="endpoints-head">
      <header><h2 id="endpoints-head">Endpoints</h2><span class="end">{of.endpoints.length}, the sickest first</span></header>
      <div class="scroll" tabIndex={0} role="group" aria-label="Table">
        <table>
          <thead><tr><th>Endpoint</th><th>Health</th><th>Weight</th><th>Breaker</th><th class="num">Req/s</th><th /><th class="num">Failures</th><th /><th class="num">p50</th><th class="num">p99</th><th /></tr></thead>
          <tbody>{sorted.slice(0, shown).map((one) => <Row key={one.endpoint} of={one} past={by.get(one.endpoint)} usual={usualOf(of, one)} />)}</tbody>
        </table>
      </div>
      {sorted.length > shown && <div class="pad"><button class="btn small" onClick={() => setShown(shown + PAGE)}>Show {Math.min(PAGE, sorted.length - shown)} more</button></div>}
    </section>
  );
}

/** The service's usual, and of its requests the part that falls to this endpoint by weight. */
function usualOf(service: Service, one: Endpoint): Usual {
  const weight = (of: Endpoint): number => of.weight_configured ?? 100;
  const all = service.endpoints.reduce((sum, of) => sum + weight(of), 0);
  const band = (of: number[] | undefined, part = 1): [number, number] | undefined => of && [(of[0] ?? 0) * part, (of[1] ?? 0) * part];
  const { expected } = service;
  return { rps: band(expected?.rps, weight(one) / Math.max(all, 1)), failures: band(expected?.failure_share), p99: band(expected?.p99_ms) };
}

function Row({ of, past, usual }: { of: Endpoint; past: Series | undefined; usual: Usual }) {
  const full = of.weight_configured ?? 100;
  const now = of.ejected ? 0 : of.weight ?? full;
  const tone = of.failure_share > 0.05 ? "bad" : of.failure_share > 0.01 ? "warn" : "";
  return (
    <tr>
      <td class="mono">{of.endpoint}{of.version && <> <span class="tag">{of.version}</span></>}</td>
      <td><HealthMark health={endpointHealth(of)} /></td>
      <td>
        <span class="row" style={{ flexWrap: "nowrap" }}>
          <span class="meter" style={{ width: "54px" }} aria-hidden="true"><span class={now < full ? "warn" : ""} style={{ width: `${Math.min(100, (100 * now) / Math.max(full, 1))}%` }} /></span>
          <span class="num">{of.weight === undefined || of.weight === null ? "?" : now}{now !== full && <span class="muted"> of {full}</span>}</span>
        </span>
      </td>
      <td>{of.breaker ? <Tag of={of.breaker === "closed" ? "closed" : of.breaker === "open" ? "failed" : "probing"} text={of.breaker.replace("_", "-")} /> : <span class="muted">?</span>}</td>
      <td class="num">{rate(of.rps)}</td>
      <td><Spark values={past?.rps ?? []} label="Requests over five minutes" band={usual.rps} /></td>
      <td class={`num ${tone}`}>{percent(of.failure_share)}</td>
      <td><Spark values={past?.failure_share ?? []} label="Failures over five minutes" tone="bad" most={0.05} band={usual.failures} /></td>
      <td class="num">{millis(of.p50_ms)}</td>
      <td class="num">{millis(of.p99_ms)}</td>
      <td><Spark values={past?.p99_ms ?? []} under={past?.p50_ms ?? []} label="p50 and p99 over five minutes" tone="violet" band={usual.p99} /></td>
    </tr>
  );
}

function LiveActions({ service }: { service: string }) {
  const live = liveActions.value.filter((one) => one.action.service === service);
  if (!live.length) return null;
  return (
    <section class="panel" aria-labelledby="leases-head">
      <header><h2 id="leases-head">Leases</h2><a class="end" href="#/actions">All actions</a></header>
      <div class="pad stack tight">
        {live.map((one) => {
          const kind = one.action.kind as Kind;
          return <div key={one.id} class="row"><Tag of={one.phase} /><a href={one.incident ? to("incidents", one.incident) : "#/actions"}>{human(kind.type)} <span class="mono">{titleOf(kind)}</span></a><span class="muted">on {plural(Object.keys(one.receipts).length, "proxy", "proxies")}, {plural(one.renewals, "renewal")}</span></div>;
        })}
      </div>
    </section>
  );
}
