// Re-running a decision from what was kept of it.
import { useState } from "preact/hooks";
import { get } from "../data/client";
import type { AuditRecord } from "../data/types";
import { Problem } from "./states";

const DECIDED = ["incident_opened", "proposal", "verdict"];

export function Explain({ of }: { of: AuditRecord }) {
  const [told, setTold] = useState<unknown>(null);
  const [why, setWhy] = useState<unknown>(null);
  if (!DECIDED.includes(of.kind)) return null;
  const ask = (): void => void get(`/v1/audit/${of.seq}/explain`).then(setTold).catch(setWhy);
  return (
    <div class="stack tight">
      <div><button class="btn small" onClick={ask}>Explain: decide it again</button></div>
      {why !== null && <Problem why={why} />}
      {told !== null && <pre class="json">{JSON.stringify(told, null, 2)}</pre>}
    </div>
  );
}
