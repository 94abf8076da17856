// Numbers and instants as people read them.
import { skew } from "./live";

export const percent = (share: number, digits?: number): string => `${(100 * share).toFixed(digits ?? (share !== 0 && Math.abs(share) < 0.0995 ? (Math.abs(share) < 0.0095 ? 2 : 1) : 0))}\u00a0%`;

export function rate(perSecond: number): string {
  if (perSecond >= 100_000) return `${(perSecond / 1000).toFixed(0)}k`;
  if (perSecond >= 1_000) return `${(perSecond / 1000).toFixed(1)}k`;
  return perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(1);
}

export const millis = (ms: number): string => (ms >= 10_000 ? `${(ms / 1000).toFixed(1)}\u00a0s` : ms >= 100 ? `${ms.toFixed(0)}\u00a0ms` : `${ms.toFixed(1)}\u00a0ms`);

export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${String(Math.floor((s % 3_600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`;
}

const two = (n: number): string => String(n).padStart(2, "0");
export const clock = (ms: number): string => {
  const d = new Date(ms);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
};
export const utcClock = (ms: number): string => new Date(ms).toISOString().slice(11, 19);
/** Local and UTC, for titles and details. */
export function instant(ms: number): string {
  const d = new Date(ms);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(ms)} ${zone === "UTC" ? "UTC" : `${zone} · ${utcClock(ms)} UTC`}`;
}

/** The brain's now. */
export const brainNow = (): number => Date.now() + skew.value;

const NAMES: Record<string, string> = {
  set_weights: "Set weights", eject_endpoint: "Eject endpoint", trip_breaker: "Trip breaker", reset_breaker: "Reset breaker",
  block_ips: "Block addresses", limit_rate: "Limit rate", shed_load: "Shed load", set_timeout: "Set timeout",
  set_retry_budget: "Set retry budget", set_algorithm: "Set algorithm", set_canary_weight: "Set canary weight",
  promote_canary: "Promote canary", rollback_canary: "Roll back canary", scale: "Scale",
  bad_endpoint: "Bad endpoint", bad_version: "Bad version", abusive_clients: "Abusive clients", overload: "Overload",
  dependency: "Dependency outside the mesh", service: "Whole service", unknown: "Unknown cause",
  errors: "Failures", latency: "Slow responses", peer_errors: "Failures against siblings", peer_latency: "Slowness against siblings",
  rate: "Request rate", client_rate: "Client rate", retries: "Retries", forecast: "Load to come", new_clients: "New clients",
  top_clients: "Busiest clients", client_pace: "Requests a client", vitals: "Vital signs apart", route_mix: "Other routes than usual",
};
export const human = (name: string): string => NAMES[name] ?? name.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
export const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;
export const short = (hash: string | undefined | null, n = 8): string => (hash ? hash.slice(0, n) : "—");
