// How well something is, in one word, from its numbers and what is known of it.
import type { Endpoint, Incident, Service } from "./types";

export type Health = "good" | "warn" | "bad" | "out" | "quiet";
export const HEALTH_WORDS: Record<Health, string> = { good: "Healthy", warn: "Degraded", bad: "Failing", out: "Taken out", quiet: "No traffic" };

const WARN_SHARE = 0.01;
const BAD_SHARE = 0.05;

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
  const blamed = open.some((incident) => incident.cause.service === service.service);
  if (service.rps === 0) return blamed ? "warn" : "quiet";
  const own = byShare(service.failure_share, service.expected?.failure_share[1] ?? 0);
  return own === "good" && blamed ? "warn" : own;
}
