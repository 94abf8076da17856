// Before and after, line by line.
import { changesOf } from "../data/changes_of";
import { services } from "../data/live";
import type { Kind } from "../data/types";

export function ActionDiff({ kind, service, asItStands = false }: { kind: Kind; service: string; asItStands?: boolean }) {
  const of = services.value.find((one) => one.service === service);
  return (
    <div class="diff" role="group" aria-label="What would change">
      {changesOf(kind, of, asItStands).map((line) => (
        <div key={line.what}>
          <span>{line.what}</span>
          <span><del>{line.before}</del><ins>{line.after}</ins></span>
        </div>
      ))}
    </div>
  );
}

/** Two values as JSON, by path: only what differs. */
export function differences(before: unknown, after: unknown, path = ""): { what: string; before: string; after: string }[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  const isPlain = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
  if (isPlain(before) && isPlain(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => differences(before[key], after[key], path ? `${path}.${key}` : key));
  }
  const text = (value: unknown): string => (value === undefined ? "—" : typeof value === "string" ? value : JSON.stringify(value));
  return [{ what: path, before: text(before), after: text(after) }];
}
