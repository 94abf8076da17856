// What the brain would have done, had its mode let it: judged by the guard, and stopped by the mode alone.
import { get, query } from "../data/client";
import { human, percent } from "../data/format";
import { changes } from "../data/live";
import { to } from "../data/route";
import { titleOf } from "../data/changes_of";
import type { AuditRecord, Items, Judgement, Kind, Proposal } from "../data/types";
import { useLoad } from "./load";
import { Tag, Time } from "./small";
import { Loading, Problem } from "./states";

type Held = { record: AuditRecord; proposal: Proposal; judgement: Judgement };
const SHOWN = 20;

function held(of: AuditRecord): Held[] {
  const { proposal, judgement } = of.data as { proposal?: Proposal; judgement?: Judgement };
  if (!proposal || !judgement || judgement.verdict === "allow") return [];
  const others = judgement.checks.filter((check) => check.name !== "mode");
  return others.every((check) => check.verdict === "allow") ? [{ record: of, proposal, judgement }] : [];
}

export function HeldBack() {
  const { value, why } = useLoad(() => get<Items<AuditRecord>>(`/v1/audit${query({ kind: "verdict", newest: true, limit: 200 })}`), [changes.value]);
  const rows = (value?.items ?? []).flatMap(held).slice(0, SHOWN);
  return (
    <section class="panel" aria-labelledby="held-head">
      <header><h2 id="held-head">What it would have done alone</h2><span class="end">stopped by its mode and by nothing else</span></header>
      {why ? <Problem why={why} /> : !value ? <Loading /> : !rows.length ? <div class="pad muted">Nothing was held back by the mode alone.</div> : (
        <div class="scroll" tabIndex={0} role="group" aria-label="Table">
          <table>
            <thead><tr><th>When</th><th>Action</th><th>Service</th><th class="num">Sure</th><th class="num">Capacity</th><th>Became of it</th></tr></thead>
            <tbody>
              {rows.map(({ record, proposal, judgement }) => {
                const kind = proposal.action.kind as Kind;
                return (
                  <tr key={record.seq}>
                    <td><Time ms={Date.parse(record.at)} /></td>
                    <td><a href={to("audit", String(record.seq))}>{human(kind.type)} <span class="mono wrap-anywhere">{titleOf(kind)}</span></a></td>
                    <td>{proposal.action.service}</td>
                    <td class="num">{percent(proposal.confidence, 0)}</td>
                    <td class="num">{percent(proposal.radius.capacity, 0)}</td>
                    <td><Tag of={judgement.verdict} text={judgement.verdict === "ask" ? "asked a person" : "not done"} /></td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
