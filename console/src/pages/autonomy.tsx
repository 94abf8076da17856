// How far the brain may go, kind by kind, and what it has shown for it.
import { useState } from "preact/hooks";
import { TryPolicy } from "../components/backtest/try_policy";
import { Calibration } from "../components/calibration";
import { Confirm } from "../components/dialog";
import { HeldBack } from "../components/held_back";
import { useLoad } from "../components/load";
import { Tag } from "../components/small";
import { Loading, Problem } from "../components/states";
import { get, post } from "../data/client";
import { duration, human, percent } from "../data/format";
import { changes, refresh, status } from "../data/live";
import { maySteer } from "../data/session";
import type { AutonomyRow, Budgets, Items, Mode } from "../data/types";

const MODES: Mode[] = ["observe", "advisory", "autonomous"];
const MEANING: Record<Mode, string> = { observe: "looks and says what it would do", advisory: "proposes; people decide", autonomous: "acts alone, within the guard" };
type Wanted = { mode: Mode; kind?: string };

export function Autonomy() {
  const rows = useLoad(() => get<Items<AutonomyRow>>("/v1/autonomy"), [changes.value]);
  const budgets = useLoad(() => get<Budgets>("/v1/budgets"), [changes.value]);
  const [wanted, setWanted] = useState<Wanted | null>(null);
  const mode = status.value?.mode;
  return (
    <>
      <div class="page-head">
        <div><h1>Autonomy</h1><p>The mode of the whole is the upper bound; each kind earns its own.</p></div>
        <div class="row" role="group" aria-label="Mode of the whole">
          {MODES.map((one) => <button key={one} class={`btn ${one === mode ? "primary" : ""}`} aria-pressed={one === mode} disabled={!maySteer.value || one === mode} title={MEANING[one]} onClick={() => setWanted({ mode: one })}>{human(one)}</button>)}
        </div>
      </div>
      <div class="stack">
        {budgets.why ? <Problem why={budgets.why} /> : budgets.value && <BudgetStats of={budgets.value} />}
        <section class="panel" aria-labelledby="kinds-head">
          <header><h2 id="kinds-head">Kinds of action</h2><span class="end">by what they did, people's answers and calibration</span></header>
          {rows.why ? <Problem why={rows.why} /> : !rows.value ? <Loading lines={8} /> : <Kinds of={rows.value.items} ask={setWanted} />}
        </section>
        <HeldBack />
        <TryPolicy />
      </div>
      {wanted && (
        <Confirm title={`${human(wanted.mode)} for ${wanted.kind ? human(wanted.kind).toLowerCase() : "everything"}?`} verb={`Set to ${wanted.mode}`} close={() => setWanted(null)}
          text={`From now on the brain ${MEANING[wanted.mode]}${wanted.kind ? ", for this kind of action" : ""}. It stands over a restart.`} act={() => post("/v1/mode", wanted).then(refresh)} />
      )}
    </>
  );
}

const BudgetStats = ({ of }: { of: Budgets }) => (
  <dl class="stats" aria-label="Budgets">
    <div class="stat"><dt>Actions in the last hour</dt><dd>{of.actions_last_hour} <small>of {of.actions_per_hour}, then it asks</small></dd><Meter part={of.actions_last_hour / Math.max(of.actions_per_hour, 1)} /></div>
    <div class="stat"><dt>Taken of one service</dt><dd>{percent(of.radius_service, 0)} <small>at most</small></dd></div>
    <div class="stat"><dt>Taken of the fleet</dt><dd>{percent(of.radius_fleet, 0)} <small>at most</small></dd></div>
    <div class="stat"><dt>Usual requests refused</dt><dd>{percent(of.radius_requests, 0)} <small>at most</small></dd></div>
    <div class="stat"><dt>Stays, and is well</dt><dd>{percent(of.min_healthy_capacity, 0)} <small>at least</small></dd></div>
    <div class="stat"><dt>Two people above</dt><dd>{percent(of.four_eyes_above, 0)} <small>rest {duration(of.cooldown_s * 1000)}</small></dd></div>
  </dl>
);

const Meter = ({ part }: { part: number }) => <span class="meter" aria-hidden="true" style={{ marginTop: "4px" }}><span class={part > 0.8 ? "warn" : ""} style={{ width: `${Math.min(100, 100 * part)}%` }} /></span>;

const Kinds = ({ of, ask }: { of: AutonomyRow[]; ask: (wanted: Wanted) => void }) => (
  <div class="scroll" tabIndex={0} role="group" aria-label="Table">
    <table class="kinds">
      <thead><tr><th>Kind</th><th>May now</th><th>Effects</th><th class="num">Helps at least</th><th class="num">People said</th><th>Said against came true</th></tr></thead>
      <tbody>
        {of.map((row) => (
          <tr key={row.kind}>
            <td><b>{human(row.kind)}</b><span class="sub">{row.why}</span></td>
            <td>{maySteer.value ? (
              <select aria-label={`Mode of ${human(row.kind)}`} value={row.mode} onChange={(event) => { const mode = event.currentTarget.value as Mode; event.currentTarget.value = row.mode; ask({ mode, kind: row.kind }); }}>
                {MODES.map((mode) => <option key={mode} value={mode}>{human(mode)}</option>)}
              </select>
            ) : <Tag of={row.mode} />}</td>
            <td><Outcomes of={row} /></td>
            <td class="num">{row.trials ? percent(row.lower_bound, 0) : <span class="muted">—</span>}</td>
            <td class="num"><span class="good">{row.approved} yes</span> <span class="muted">·</span> <span class={row.rejected ? "bad" : "muted"}>{row.rejected} no</span></td>
            <td><Calibration of={row} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);

function Outcomes({ of }: { of: AutonomyRow }) {
  if (!of.trials) return <span class="muted">none measured</span>;
  const part = (n: number): Record<string, string> => ({ width: `${(100 * n) / of.trials}%` });
  return (
    <>
      <span class="meter" aria-hidden="true"><span class="good" style={part(of.helped)} /><span class="none" style={part(of.unchanged)} /><span class="bad" style={part(of.harmed)} /></span>
      <span class="sub num">{of.helped} helped · {of.unchanged} no change · {of.harmed} harm</span>
    </>
  );
}
