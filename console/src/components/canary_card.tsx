// One rollout whole: its steps, its evidence over time, and what a person may do.
import { useMemo, useState } from "preact/hooks";
import { post } from "../data/client";
import { bounds, OVER, share, shares, weakest, type CanaryDetail, type Metric } from "../data/canary";
import { duration, human, percent, plural, rate } from "../data/format";
import { to } from "../data/route";
import { mayAnswer, mayPropose, who } from "../data/session";
import { Chart } from "./chart";
import { Confirm } from "./dialog";
import { Tag, Time, useNow } from "./small";

const DEEDS = {
  pause: { verb: "Pause", text: "It keeps its share and is judged on; no further step is taken.", tone: "primary" },
  resume: { verb: "Resume", text: "It goes on where it was.", tone: "primary" },
  promote: { verb: "Promote", text: "The canary becomes the stable version, before its evidence is complete.", tone: "primary" },
  rollback: { verb: "Roll back", text: "The canary gets no more traffic.", tone: "stop" },
} as const;
/** Odds from here on bound nothing. */
const BOUNDLESS = 1e3;
/** Two digits that say something, never an exponent. */
const odd = (odds: number): string => (odds < 0.01 ? "0" : odds < 99.5 ? odds.toPrecision(2) : odds.toFixed(0));
type Deed = keyof typeof DEEDS;

export function CanaryCard({ of, again }: { of: CanaryDetail; again: () => void }) {
  const [deed, setDeed] = useState<Deed | null>(null);
  const now = useNow();
  const over = OVER.includes(of.phase);
  return (
    <article class="card" aria-labelledby={`title-${of.id}`}>
      <header>
        <div>
          <h2 id={`title-${of.id}`} style={{ fontSize: "15px" }} class="wrap-anywhere">{of.service}: <span class="mono">{of.stable}</span> → <span class="mono">{of.canary}</span></h2>
          <p class="muted wrap-anywhere">{of.id} · {human(of.strategy).toLowerCase()} · by {of.by} · {of.why}{of.pause?.incident && <> · paused by <a href={to("incidents", of.pause.incident)}>{of.pause.incident}</a></>}</p>
        </div>
        <Tag of={of.phase === "promoted" ? "approved" : of.phase === "rolled_back" ? "rejected" : of.phase === "paused" ? "probing" : "info"} text={human(of.phase)} />
      </header>
      <Steps of={of} />
      <dl class="facts">
        <div><dt>Share now</dt><dd>{of.weight} % <small>{rate(of.rate_rps)} req/s</small></dd></div>
        <div><dt>Evidence for promotion</dt><dd>{percent(of.evidence_share, 0)} <small>{of.needs_requests ? `about ${plural(of.needs_requests, "request")} more` : ""}</small></dd></div>
        <div><dt>Failed, canary</dt><dd>{percent(share(of.totals.canary_failed, of.totals.canary))} <small>of {of.totals.canary}</small></dd></div>
        <div><dt>Failed, stable</dt><dd>{percent(share(of.totals.stable_failed, of.totals.stable))} <small>of {of.totals.stable}</small></dd></div>
        {of.budget && <div><dt>Error budget</dt><dd>{of.budget.spent.toFixed(0)} <small>of {of.budget.allowed?.toFixed(0) ?? "?"} failures spent</small></dd></div>}
        {of.spec.preview && <div><dt>Asked for it before</dt><dd>{of.previewed} <small>by {of.spec.preview.key}</small></dd></div>}
      </dl>
      {of.hold && <p class="notice info">Waits for {human(of.hold.kind).toLowerCase()}: {of.hold.why}</p>}
      <Evidence of={of} />
      <div class="inside">
        <section><h3>By metric</h3><Metrics of={of.evidence?.metrics ?? []} /></section>
        <section><h3>Report</h3>
          <ol class="stack tight">{of.record.moves.map((move, n) => <li key={n} class="wrap-anywhere"><Time ms={move.at_ms} /> <b>{human(move.phase)}</b> at {move.weight} % <span class="muted">by {move.by}: {move.why}</span></li>)}</ol>
          <p><a href={`/v1/canaries/${encodeURIComponent(of.id)}/report`} target="_blank" rel="noopener">The whole report, to file</a></p>
          <p class="muted">{over ? `It took ${duration((of.ended_ms ?? of.since_ms) - of.created_ms)}.` : `Under way for ${duration(now - of.created_ms)}.`}</p>
        </section>
      </div>
      <Deeds of={of} over={over} ask={setDeed} />
      {deed && <Confirm title={`${DEEDS[deed].verb} ${of.id}?`} text={DEEDS[deed].text} verb={DEEDS[deed].verb} tone={DEEDS[deed].tone} reason="may" close={() => setDeed(null)} act={(reason) => post(`/v1/canaries/${encodeURIComponent(of.id)}/${deed}`, { reason }).then(again)} />}
    </article>
  );
}

/** What whoever is signed in may do with it now: drive it, or answer what it asks. */
function Deeds({ of, over, ask }: { of: CanaryDetail; over: boolean; ask: (deed: Deed) => void }) {
  const promotes = of.strategy === "progressive" || of.strategy === "blue_green";
  const asks = of.phase === "step" && of.hold?.kind === "approval";
  const next = asks && of.step < shares(of);
  const own = of.phase === "paused" && mayAnswer.value && of.record.moves.at(-1)?.by === who.value?.name;
  const drives = mayPropose.value && !over;
  const answers = mayAnswer.value && asks;
  const rolls = mayPropose.value && of.may_be_rolled_back;
  if (!drives && !answers && !own && !rolls) return null;
  return (
    <footer><span class="ends">
      {of.phase === "paused" ? (drives || own) && <button class="btn" onClick={() => ask("resume")}>Resume</button> : (drives || answers) && <button class="btn" onClick={() => ask("pause")}>Pause</button>}
      {next && <button class="btn primary" onClick={() => ask("resume")}>Agree to the next step</button>}
      {promotes && (drives || (answers && !next)) && <button class="btn" onClick={() => ask("promote")}>Promote</button>}
      {rolls && <button class="btn danger" onClick={() => ask("rollback")}>Roll back</button>}
    </span></footer>
  );
}

const Steps = ({ of }: { of: CanaryDetail }) => (
  <ol class="steps" aria-label={`Step ${of.step} of ${of.steps.length}`}>
    {of.steps.map((step, n) => <li key={n} class={n + 1 < of.step || of.phase === "promoted" ? "done" : n + 1 === of.step && !OVER.includes(of.phase) ? "now" : ""}><span>{step} %</span></li>)}
  </ol>
);

/** The e-value against the canary over time, and how much of it each version failed. */
function Evidence({ of }: { of: CanaryDetail }) {
  const points = of.record.points;
  const times = useMemo(() => points.map((point) => point.at_ms), [points]);
  if (times.length < 2) return null;
  const log10 = (value: number | undefined): number | null => (value === undefined ? null : value / Math.LN10);
  const always = (value: number): number[] => points.map(() => Math.log10(value));
  return (
    <div class="cols" style={{ gap: 0 }}>
      <Chart title="Evidence, as powers of ten" times={times} zero={false} height={120} show={(value) => value.toFixed(1)}
        lines={[
          { label: "against the canary", values: points.map((point) => log10(point.evidence?.log_e_bad)), colour: "bad" }, { label: "it goes at", values: always(of.spec.judge.rollback_e), colour: "warn" },
          { label: "against harm", values: points.map((point) => log10(weakest(point.evidence))), colour: "good" }, { label: "enough at", values: always(of.spec.judge.promote_e), colour: "muted" },
        ]} />
      <Chart title="Share of failures" reach={0.01} times={times} height={120} show={percent}
        lines={[{ label: "canary", values: points.map((point) => share(point.totals.canary_failed, point.totals.canary)), colour: "violet" }, { label: "stable", values: points.map((point) => share(point.totals.stable_failed, point.totals.stable)), colour: "accent" }]} />
    </div>
  );
}

const Metrics = ({ of }: { of: Metric[] }) => (
  <div class="scroll" tabIndex={0} role="group" aria-label="Table">
    <table>
      <thead><tr><th>Metric</th><th class="num">Canary</th><th class="num">Stable</th><th class="num">Odds, 95 %</th><th class="num">Needs</th></tr></thead>
      <tbody>
        {of.map((one) => {
          const odds = bounds(one.odds);
          return (
            <tr key={one.metric}>
              <td>{one.metric.replaceAll("_", " ")}</td>
              <td class="num">{percent(share(...one.canary))}</td><td class="num">{percent(share(...one.stable))}</td>
              <td class="num">{odds ? `${odd(odds[0])} – ${odds[1] < BOUNDLESS ? odd(odds[1]) : "∞"}` : "—"}</td>
              <td class="num">{one.needs_requests ?? "—"}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  </div>
);
