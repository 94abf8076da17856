// The numbers that a diagnosis rests on: what was observed, against what.
import { duration, human, percent, plural, rate } from "../data/format";
import type { Evidence } from "../data/types";

const isShare = (signal: string): boolean => !["rate", "client_rate", "client_pace", "route_mix", "retries", "forecast"].includes(signal);

export const EvidenceList = ({ of }: { of: Evidence[] }) => (
  <ul class="evidence">
    {of.map((one, n) => {
      const show = (value: number): string => (isShare(one.signal) ? percent(value) : one.signal === "retries" ? value.toFixed(2) : `${rate(value)}/s`);
      const most = Math.max(one.observed, one.baseline, 1e-9) * 1.08;
      return (
        <li key={n}>
          <span class="line">
            <span class="wrap-anywhere">{human(one.signal)} <span class="muted">of {one.series}</span></span>
            <span class="num"><b class="bad">{show(one.observed)}</b> <span class="muted">{one.signal === "forecast" ? "most lately" : "usual"} {show(one.baseline)}</span></span>
          </span>
          <span class="bullet" aria-hidden="true">
            <span style={{ width: `${(100 * one.observed) / most}%` }} />
            <b style={{ left: `${(100 * one.baseline) / most}%` }} />
          </span>
          <span class="muted num">
            {one.signal === "forecast"
              ? `expected in ${duration(one.window_s * 1000)}`
              : `${plural(one.requests, "request")} in ${one.window_s} s · e-value ${one.log_e > 20 ? "over 10⁸" : Math.exp(one.log_e).toPrecision(2)} against chance`}
          </span>
        </li>
      );
    })}
  </ul>
);
