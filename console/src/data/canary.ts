// Rollouts as /v1/canaries tells them. What the judge goes by is free in form there, and read here with care.
export type Totals = { stable: number; stable_failed: number; canary: number; canary_failed: number };
export type Metric = {
  metric: string; log_e_bad: number; log_e_good: number; odds?: { low: number; high: number } | [number, number] | null; canary: [number, number]; stable: [number, number];
  needs_requests?: number | null; worst_stratum?: [string, number] | null;
};
export type CanaryEvidence = { log_e_bad?: number; metrics?: Metric[]; warming_up?: boolean };
export type Canary = {
  id: string; service: string; stable: string; canary: string; strategy: string; phase: string; weight: number; step: number; steps: number[]; since_ms: number;
  created_ms: number; ended_ms?: number | null; by: string; why: string; hold?: { kind: string; why: string } | null; pause?: { from: string; incident?: string | null } | null;
  evidence_share: number; needs_requests?: number | null; rate_rps: number; totals: Totals; previewed: number; budget?: { spent: number; allowed?: number | null } | null; may_be_rolled_back: boolean; evidence?: CanaryEvidence;
};
export type CanaryDetail = Canary & {
  spec: { steps: number[]; max_weight: number; judge: { rollback_e: number; promote_e: number }; preview?: { key: string; value: string; requests: number } | null };
  record: { moves: { at_ms: number; phase: string; weight: number; by: string; why: string }[]; points: { at_ms: number; weight: number; totals: Totals; needs?: number | null; evidence?: CanaryEvidence }[] };
};

export const OVER = ["promoted", "rolled_back", "undecided", "finished"];
export const share = (failed: number, all: number): number => (all ? failed / all : 0);
/** How many shares lie before its promotion. */
export const shares = (of: CanaryDetail): number => (of.strategy === "blue_green" ? 1 : new Set(of.steps.filter((step) => step < 100).map((step) => Math.min(step, of.spec.max_weight))).size);
/** How far it is known that harm is excluded: promotion needs every metric on its own. */
export function weakest(of: CanaryEvidence | undefined): number | undefined {
  const all = (of?.metrics ?? []).filter((one) => !one.metric.startsWith("business:")).map((one) => one.log_e_good);
  return all.length ? Math.min(...all) : undefined;
}
/** The bounds of an interval, however it is written. */
export function bounds(of: Metric["odds"]): [number, number] | null {
  if (!of) return null;
  return Array.isArray(of) ? of : [of.low, of.high];
}
