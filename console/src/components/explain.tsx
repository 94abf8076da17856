// A decision again, from its record alone: the same questions of the same facts must give the same answers.
import { useState } from "preact/hooks";
import { get } from "../data/client";
import { to } from "../data/route";
import type { AuditRecord, Explanation, Items } from "../data/types";
import { Tag } from "./small";
import { Problem } from "./states";

const DECIDED = ["incident_opened", "proposal", "verdict", "decision", "intent"];

export function Explain({ of }: { of: AuditRecord }) {
  const [told, setTold] = useState<Explanation[] | null>(null);
  const [why, setWhy] = useState<unknown>(null);
  if (!DECIDED.includes(of.kind)) return null;
  // Only a verdict is a decision by itself; the others lead to those of their incident.
  const about = of.kind === "verdict" ? String(of.seq) : of.action ?? of.incident ?? String(of.seq);
  const ask = (): void => void get<Items<Explanation>>(`/v1/audit/${encodeURIComponent(about)}/explain`).then((page) => setTold(page.items)).catch(setWhy);
  return (
    <div class="stack tight">
      <div><button class="btn small" onClick={ask}>Explain: decide it again</button></div>
      {why !== null && <Problem why={why} />}
      {told?.map((one) => <Again key={one.seq} of={one} />)}
    </div>
  );
}

const Again = ({ of }: { of: Explanation }) => (
  <div class={of.same ? "said" : "problem"} role="status">
    <div class="row"><a href={to("audit", String(of.seq))}>Record {of.seq}</a> then <Tag of={of.verdict} />{of.again && <>now <Tag of={of.again} /></>}<b>{of.same ? "the same in every answer" : "not the same"}</b></div>
    <p class="wrap-anywhere">{of.why}</p>
    {of.differences.length > 0 && <ul>{of.differences.map((line) => <li key={line} class="wrap-anywhere">{line}</li>)}</ul>}
    {of.facts && <details><summary>What it looked at</summary><pre class="json">{JSON.stringify(of.facts, null, 2)}</pre></details>}
  </div>
);
