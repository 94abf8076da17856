// What an action did, with how sure that is.
import { percent, plural } from "../data/format";
import type { Effect } from "../data/types";
import { Tag } from "./small";

export function EffectLine({ of }: { of: Effect | null }) {
  if (!of) return <span class="muted">Its effect is not measured yet.</span>;
  const interval = of.interval as [number, number] | undefined | null;
  return (
    <div class="stack tight">
      <div class="row">
        <Tag of={of.kind} />
        <span class="num">{percent(of.before)} → <b>{percent(of.after)}</b> of {plural(of.requests, "request")}</span>
        {interval && <span class="muted num">fell by {percent(interval[0])} to {percent(interval[1])} (95 %)</span>}
      </div>
      <span class="muted wrap-anywhere">{of.why}</span>
    </div>
  );
}
