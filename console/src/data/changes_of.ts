// What an action changes, as lines of before and after.
import { duration, percent } from "./format";
import type { Kind, Service } from "./types";

export type Line = { what: string; before: string; after: string };
const text = (value: unknown): string => (Array.isArray(value) ? value.join(", ") : value === null || value === undefined ? "—" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** `asItStands`: against the weights of now, as for what is only proposed; else against those of the files, which a
 * lease that is live, or was, took the place of. */
export function changesOf(kind: Kind, of: Service | undefined, asItStands: boolean): Line[] {
  const weight = (name: string): string => {
    const found = of?.endpoints.find((endpoint) => endpoint.endpoint === name);
    const now = found?.ejected || !asItStands ? found?.weight_configured : found?.weight;
    return now === undefined || now === null ? "as configured" : `weight ${now}`;
  };
  switch (kind.type) {
    case "eject_endpoint":
      return [{ what: text(kind.endpoint), before: weight(text(kind.endpoint)), after: "out: no new requests" }];
    case "trip_breaker":
      return [{ what: text(kind.endpoint), before: "breaker closed", after: "breaker open" }];
    case "reset_breaker":
      return [{ what: text(kind.endpoint), before: "breaker open", after: "breaker closed" }];
    case "set_weights":
      return Object.entries((kind.weights ?? {}) as Record<string, number>).map(([name, to]) => ({ what: name, before: name.startsWith("version:") ? "as configured" : weight(name), after: `weight ${to}` }));
    case "block_ips":
      return ((kind.cidrs ?? []) as string[]).map((cidr) => ({ what: cidr, before: "served", after: "refused (403)" }));
    case "shed_load":
      return [{ what: "load", before: "all served", after: typeof kind.fraction === "number" ? `${percent(kind.fraction)} refused (503)` : `at most ${text(kind.max_in_flight)} in flight` }];
    case "scale":
      return [{ what: "replicas", before: of ? `${of.endpoints.length} endpoints` : "as they are", after: `at least ${text(kind.replicas)}, asked of the scale webhook` }];
    case "set_timeout":
      return [{ what: "request timeout", before: "as configured", after: duration(Number(kind.request_timeout_ms)) }];
    default: {
      const rest = Object.entries(kind).filter(([name]) => name !== "type");
      return rest.map(([name, value]) => ({ what: name.replaceAll("_", " "), before: "as configured", after: text(value) }));
    }
  }
}

/** The action in one line. */
export function titleOf(kind: Kind): string {
  if (kind.type === "set_weights") return Object.entries((kind.weights ?? {}) as Record<string, number>).slice(0, 2).map(([name, to]) => `${name} → ${to}`).join(", ");
  if (kind.type === "scale") return `to ${text(kind.replicas)} replicas`;
  const about = kind.endpoint ?? kind.version ?? kind.algorithm ?? (Array.isArray(kind.cidrs) ? (kind.cidrs as string[]).slice(0, 2).join(", ") : undefined);
  return about === undefined ? "" : String(about);
}
