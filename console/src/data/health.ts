// How well something is, in one word, from its numbers and what is known of it.
import type { Endpoint, Incident, Proxy, Service } from "./types";

/** `quiet`: nobody asks; `mute`: it is served, unseen; `lost`: its proxies are gone. None of them is its fault. */
export type Health = "good" | "warn" | "bad" | "out" | "quiet" | "mute" | "lost";
export const HEALTH_WORDS: Record<Health, string> = { good: "Healthy", warn: "Degraded", bad: "Failing", out: "Taken out", quiet: "No traffic", mute: "No telemetry", lost: "Proxies lost" };
const SILENT: Record<NonNullable<Service["silence"]>, Health> = { no_traffic: "quiet", no_telemetry: "mute", lost_proxies: "lost" };

const WARN_SHARE = 0.01;
const BAD_SHARE = 0.05;
/** Seconds of quiet traffic before what was learned excuses failures: by then it is no accident. */
const LEARNED_S = 300;

function byShare(share: number, usual: number): Health {
  if (share > BAD_SHARE) return "bad";
  return share > Math.max(WARN_SHARE, usual) ? "warn" : "good";
}

export function endpointHealth(endpoint: Endpoint): Health {
  if (endpoint.ejected || endpoint.breaker === "open") return "out";
  if (endpoint.health === "unhealthy") return "bad";
  if (endpoint.rps === 0) return "quiet";
  return byShare(endpoint.failure_share, 0);
}

export function serviceHealth(service: Service, open: Incident[]): Health {
  if (service.silence) return SILENT[service.silence];
  const blamed = open.some((incident) => incident.cause.service === service.service);
  if (service.rps === 0) return blamed ? "warn" : "quiet";
  const usual = service.learned_s >= LEARNED_S ? service.expected?.failure_share[1] ?? 0 : 0;
  const own = byShare(service.failure_share, usual);
  return own === "good" && blamed ? "warn" : own;
}

/** What is not seen of a service that is heard in part: its proxies that report nothing, and those that are gone. */
export function unseen(service: Service): string {
  const part = (ids: string[] | undefined, word: string): string[] => (ids?.length ? [`${ids.join(", ")} ${word}`] : []);
  return [...part(service.mute_proxies, "tells nothing"), ...part(service.lost_proxies, "lost")].join(" · ");
}

/** A proxy whose newest window is older than this is not heard. */
const HEARD_MS = 5_000;
export const isHeard = (proxy: Proxy, now: number): boolean => now - proxy.last_window_ms < HEARD_MS;
