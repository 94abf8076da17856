// One audit record in one line of words.
import { human, percent } from "../data/format";
import type { Action, AuditRecord, Incident, Proposal } from "../data/types";
import { titleOf } from "../data/changes_of";
import type { Kind } from "../data/types";

type Data = Record<string, unknown> & { incident?: Incident; proposal?: Proposal; action?: Action };
const named = (kind: unknown): string => {
  const of = kind as Kind;
  return `${human(of.type)} ${titleOf(of)}`.trim();
};

/** What happened, and the detail beneath it. */
export function told(record: AuditRecord): { title: string; detail: string; tone: string } {
  const data = record.data as Data;
  const text = (of: unknown): string => (typeof of === "string" ? of : "");
  const proposal = data.proposal;
  const action = data.action;
  const what = proposal ? named(proposal.action.kind) : action ? named(action.action.kind) : record.action ?? "";
  switch (record.kind) {
    case "incident_opened": return { title: `${human(data.incident?.cause.kind ?? "")}: ${data.incident?.cause.endpoint ?? data.incident?.cause.service ?? record.service}`, detail: data.incident?.summary ?? "", tone: "bad" };
    case "incident_updated": return { title: "Diagnosis updated", detail: data.incident?.summary ?? "", tone: "" };
    case "incident_closed": return { title: "Incident closed", detail: text(data.why), tone: "good" };
    case "proposal": return { title: `Proposed: ${what}`, detail: proposal ? `${percent(proposal.confidence, 0)} sure that it helps` : "", tone: "info" };
    case "verdict": {
      const judgement = data.judgement as { verdict: string; why: string } | undefined;
      return { title: `Guard: ${judgement?.verdict ?? ""}`, detail: judgement?.why ?? "", tone: judgement?.verdict === "allow" ? "good" : judgement?.verdict === "deny" ? "bad" : "info" };
    }
    case "decision": return { title: `${human(text(data.decision))}: ${what}`, detail: text(data.reason), tone: data.decision === "approved" ? "good" : "" };
    case "intent": return { title: `Acting: ${what}`, detail: `on ${((data.proxies as string[]) ?? []).join(", ")}`, tone: "info" };
    case "widened": return { title: `Widened: ${what}`, detail: text(data.why), tone: "info" };
    case "receipt": return { title: `${text(data.proxy)} took it`, detail: [record.action, (data.receipt as { answer?: string })?.answer].filter(Boolean).join(" · "), tone: "good" };
    case "refusal": return { title: `${text(data.proxy)} refused`, detail: text((data.refusal as { detail?: string })?.detail), tone: "bad" };
    case "renewed": return { title: `Lease renewed: ${what}`, detail: "", tone: "" };
    case "effect": {
      const effect = data.effect as { kind: string; why: string } | undefined;
      return { title: `Effect: ${human(effect?.kind ?? "")}`, detail: effect?.why ?? "", tone: effect?.kind === "helped" ? "good" : effect?.kind === "harmed" ? "bad" : "" };
    }
    case "undo": return { title: `Undoing: ${what}`, detail: text(data.why), tone: "" };
    case "action_ended": return { title: `Ended: ${what}`, detail: text(data.why), tone: "" };
    case "mode": return { title: `Mode: ${text(data.mode)}${data.kind ? ` for ${text(data.kind)}` : ""}`, detail: "", tone: "" };
    case "frozen": return { title: "Frozen", detail: data.revert_all ? "and all actions reverted" : "", tone: "bad" };
    case "unfrozen": return { title: "Unfrozen", detail: "", tone: "good" };
    case "brain_started": return { title: "Brain started", detail: `epoch ${String(data.epoch)}, version ${text(data.version)}`, tone: "" };
    case "autonomy": return { title: `${human(text(data.kind))} may now: ${text(data.mode)}`, detail: text(data.why), tone: "" };
    default: return { title: human(record.kind), detail: text(data.why) || text(data.reason) || text(data.text), tone: "" };
  }
}
