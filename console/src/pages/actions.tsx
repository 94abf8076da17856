// What is being done to the mesh now, and what was.
import { useState } from "preact/hooks";
import { Confirm } from "../components/dialog";
import { ActionDiff } from "../components/diff";
import { EffectLine } from "../components/effect";
import { Icon } from "../components/icons";
import { Countdown, Tag, Time } from "../components/small";
import { Empty, Loading } from "../components/states";
import { post } from "../data/client";
import { duration, human, percent, plural } from "../data/format";
import { actions, liveActions, refresh } from "../data/live";
import { to } from "../data/route";
import { maySteer } from "../data/session";
import { titleOf } from "../data/changes_of";
import type { Action, Kind } from "../data/types";

const EFFECTS: Record<string, string> = { helped: "Helped", unchanged: "Changed nothing", harmed: "Did harm", unknown: "Not known" };
const PHASES: Record<string, string> = {
  applying: "being sent to the proxies", verifying: "its effect is being measured", holding: "it helped; renewed until the cause is gone",
  probing: "a little traffic goes back to see whether the cause is gone",
};

/** When the first of the proxies would let go if the brain stopped now. */
const ends = (of: Action): number => Math.min(...Object.values(of.receipts).map((receipt) => Date.parse((receipt as { expires_at: string }).expires_at)), Infinity);

export function Actions() {
  const [undoing, setUndoing] = useState<Action | null>(null);
  const live = liveActions.value;
  const past = (actions.value ?? []).filter((one) => !live.includes(one));
  return (
    <>
      <div class="page-head"><div><h1>Actions</h1><p>Every change is a lease: it ends by itself unless the brain renews it.</p></div></div>
      <div class="stack">
        {!actions.value ? <div class="panel"><Loading /></div> : !live.length ? (
          <div class="panel"><Empty icon="action" title="Nothing is being done">The mesh runs as its files say.</Empty></div>
        ) : live.map((one) => <Live key={one.id} of={one} undo={() => setUndoing(one)} />)}
        {past.length > 0 && <History of={past} />}
      </div>
      {undoing && (
        <Confirm title={`Undo ${undoing.id}?`} verb="Undo" tone="stop" reason="may" close={() => setUndoing(null)}
          text={<>Every proxy drops the lease and goes back to its file. The brain will not propose {human((undoing.action.kind as Kind).type).toLowerCase()} again for this incident.</>}
          act={(reason) => post(`/v1/actions/${encodeURIComponent(undoing.id)}/undo`, { reason }).then(refresh)} />
      )}
    </>
  );
}

function Live({ of, undo }: { of: Action; undo: () => void }) {
  const kind = of.action.kind as Kind;
  const until = ends(of);
  return (
    <article class="card" aria-labelledby={`title-${of.id}`}>
      <header>
        <div>
          <h2 id={`title-${of.id}`} style={{ fontSize: "15px" }} class="wrap-anywhere">{human(kind.type)} <span class="mono">{titleOf(kind)}</span> of {of.action.service}</h2>
          <p class="muted wrap-anywhere">{of.id}{of.incident && <> · for <a href={to("incidents", of.incident)}>{of.incident}</a></>} · by {of.issued_by} since <Time ms={of.started_ms} /> · {of.reason}</p>
        </div>
        <Tag of={of.phase} />
        {maySteer.value && <button class="btn danger" onClick={undo}><Icon name="undo" />Undo</button>}
      </header>
      <dl class="facts">
        <div><dt>Phase</dt><dd style={{ fontSize: "13px", fontWeight: 500 }}>{PHASES[of.phase] ?? of.phase}</dd></div>
        <div><dt>Lease ends unless renewed</dt><dd>{Number.isFinite(until) ? <Countdown until={until} of={of.action.lease_ms} over="ending" /> : "—"}</dd></div>
        <div><dt>Held by</dt><dd>{kind.type === "scale" ? Object.keys(of.receipts).join(", ") || "nobody" : plural(Object.keys(of.receipts).length, "proxy", "proxies")} <small>{plural(of.renewals, "renewal")}</small></dd></div>
        <div><dt>Sure that it helps</dt><dd>{percent(of.confidence, 0)}</dd></div>
      </dl>
      <div class="inside">
        <section><h3>What is changed</h3><ActionDiff kind={kind} service={of.action.service} /></section>
        <section><h3>Effect</h3><EffectLine of={of.effect ?? null} /></section>
      </div>
    </article>
  );
}

const History = ({ of }: { of: Action[] }) => (
  <section class="panel" aria-labelledby="history-head">
    <header><h2 id="history-head">History</h2></header>
    <div class="scroll" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead><tr><th>Action</th><th>Service</th><th>Effect</th><th class="num">Failures</th><th class="hide-phone">By</th><th class="num">Began</th><th class="num">Lasted</th></tr></thead>
        <tbody>
          {of.map((one) => {
            const kind = one.action.kind as Kind;
            return (
              <tr key={one.id}>
                <td class="long">{human(kind.type)} <span class="mono wrap-anywhere">{titleOf(kind)}</span><span class="sub">{one.id}{one.incident && <> for <a href={to("incidents", one.incident)}>{one.incident}</a></>}</span></td>
                <td>{one.action.service}</td>
                <td>{one.phase === "failed" ? <Tag of="failed" /> : one.effect ? <Tag of={one.effect.kind} text={EFFECTS[one.effect.kind]} /> : <span class="muted">not measured</span>}</td>
                <td class="num">{one.effect ? `${percent(one.effect.before)} → ${percent(one.effect.after)}` : "—"}</td>
                <td class="hide-phone">{one.issued_by}</td>
                <td class="num"><Time ms={one.started_ms} /></td>
                <td class="num">{one.ended_ms ? duration(one.ended_ms - one.started_ms) : "—"}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  </section>
);
