// The mesh as it is now, or as it was within the last hour.
import { useMemo } from "preact/hooks";
import { Timeline } from "../components/timeline";
import { Topology } from "../components/topology/map";
import { Icon, type IconName } from "../components/icons";
import { HealthMark, Time } from "../components/small";
import { Empty, Loading } from "../components/states";
import { told } from "../components/record_line";
import { millis, percent, plural, rate } from "../data/format";
import { endpointHealth, HEALTH_WORDS, serviceHealth, unseen, type Health } from "../data/health";
import { incidents, lookingAt, openIncidents, picture, records, services } from "../data/live";
import { go, to } from "../data/route";
import type { Incident, Service } from "../data/types";

const SHOWN_RECORDS = 12;

/** The incidents that were open at the instant that is shown. */
function openThen(): Incident[] {
  const at = lookingAt.value;
  if (at === null) return openIncidents.value;
  return (incidents.value ?? []).filter((one) => one.opened_ms <= at && (one.closed_ms ?? Infinity) > at);
}

export function Mesh() {
  const shown = services.value;
  const open = useMemo(openThen, [lookingAt.value, incidents.value]);
  if (!picture.value) return <Loading lines={8} />;
  const endpoints = shown.reduce((sum, one) => sum + one.endpoints.length, 0);
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Mesh</h1>
          <p>{plural(shown.length, "service")}, {plural(endpoints, "endpoint")}, {plural(open.length, "open incident")}</p>
        </div>
      </div>
      <div class="mesh">
        <section class="panel" aria-label="Map">
          <div class="mesh-map">
            {shown.length ? <Topology services={shown} open={open} /> : lookingAt.value !== null ? <Empty icon="quiet" title="Nothing is known of that instant" /> : <Empty icon="mesh" title="No traffic yet">Services appear as soon as a proxy reports requests. A proxy reports when its configuration has an <code>ai</code> section that names this brain.</Empty>}
            <Key of={shown} open={open} />
          </div>
          <Timeline />
        </section>
        <div class="stack">
          <section class="panel" aria-labelledby="services-head">
            <header><h2 id="services-head">Services</h2></header>
            {shown.length ? <Services of={shown} open={open} /> : <div class="pad muted">None.</div>}
          </section>
          <Feed />
        </div>
      </div>
    </>
  );
}

const SHAPES: [Health, string, IconName, string][] = [
  ["good", "good", "check", "healthy"], ["warn", "warn", "warn", "degraded, broken ring"], ["bad", "bad", "cross", "failing, triangle"], ["out", "info", "out", "taken out"],
  ["quiet", "", "quiet", "no traffic"], ["mute", "warn", "mute", "no telemetry"], ["lost", "violet", "lost", "proxies lost"],
];

/** What the shapes mean that are on the map now. */
function Key({ of, open }: { of: Service[]; open: Incident[] }) {
  const seen = new Set([...of.map((one) => serviceHealth(one, open)), ...of.flatMap((one) => one.endpoints.map(endpointHealth))]);
  return <div class="mesh-key" aria-hidden="true">{SHAPES.filter(([health]) => seen.has(health)).map(([health, tone, icon, words]) => <span key={health} class={tone}><Icon name={icon} />{words}</span>)}</div>;
}

const Services = ({ of, open }: { of: Service[]; open: Incident[] }) => (
  <div class="scroll" tabIndex={0} role="group" aria-label="Table">
    <table>
      <thead><tr><th>Service</th><th class="num">Req/s</th><th class="num">Failures</th><th class="num hide-phone">p50</th><th class="num">p99</th></tr></thead>
      <tbody>
        {of.map((one) => {
          const health = serviceHealth(one, open);
          const out = one.endpoints.filter((endpoint) => endpointHealth(endpoint) === "out").length;
          return (
            <tr key={one.service} class="link" onClick={() => go("services", one.service)}>
              <td>
                <span class="service-name"><HealthMark health={health} word={false} /><a href={to("services", one.service)} onClick={(event) => event.stopPropagation()}>{one.service}</a></span>
                <span class="sub">{plural(one.endpoints.length, "endpoint")}{out > 0 && <span class="info"> · {out} out</span>}{one.silence && <span> · {HEALTH_WORDS[health].toLowerCase()}</span>}</span>
                {!one.silence && unseen(one) && <span class="sub warn wrap-anywhere">{unseen(one)}</span>}
              </td>
              <td class="num">{rate(one.rps)}</td>
              <td class={`num ${health === "bad" ? "bad" : health === "warn" ? "warn" : ""}`}>{percent(one.failure_share)}</td>
              <td class="num hide-phone">{millis(one.p50_ms)}</td>
              <td class="num">{millis(one.p99_ms)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  </div>
);

const Feed = () => (
  <section class="panel" aria-labelledby="feed-head">
    <header><h2 id="feed-head">What happens</h2><a class="end" href="#/audit">All of it</a></header>
    {records.value.length ? (
      <ol class="feed" aria-live="polite">
        {records.value.slice(0, SHOWN_RECORDS).map((record) => {
          const { title, detail, tone } = told(record);
          return (
            <li key={record.seq}>
              <Time ms={Date.parse(record.at)} />
              <div><a class={`wrap-anywhere ${tone}`} href={to("audit", String(record.seq))}>{title}</a> <span class="muted">{record.service ?? ""}</span><div class="sub">{detail}</div></div>
            </li>
          );
        })}
      </ol>
    ) : <div class="pad muted">Nothing yet.</div>}
  </section>
);
