// How often what was said came true: on the diagonal, a probability means what it says.
import { percent } from "../data/format";
import type { AutonomyRow } from "../data/types";

const SIZE = 44;

export function Calibration({ of }: { of: AutonomyRow }) {
  const told = of.curve.filter((bin) => bin.trials > 0);
  if (!told.length) return <span class="muted">nothing yet</span>;
  const words = told.map((bin) => `said ${percent(bin.said, 0)}, came true ${percent(bin.came_true, 0)} of ${bin.trials}`).join("; ");
  return (
    <span class="row" style={{ flexWrap: "nowrap" }}>
      <svg width={SIZE} height={SIZE} viewBox={`-4 -4 ${SIZE + 8} ${SIZE + 8}`} role="img" aria-label={words}>
        <title>{words}</title>
        <rect x="0.5" y="0.5" width={SIZE - 1} height={SIZE - 1} fill="none" stroke="var(--line-strong)" rx="3" />
        <line x1="0" y1={SIZE} x2={SIZE} y2="0" stroke="var(--line-strong)" stroke-dasharray="3 3" />
        <polyline points={told.map((bin) => `${bin.said * SIZE},${(1 - bin.came_true) * SIZE}`).join(" ")} fill="none" stroke="var(--accent)" stroke-width="1.5" />
        {told.map((bin, n) => <circle key={n} cx={bin.said * SIZE} cy={(1 - bin.came_true) * SIZE} r={Math.min(5, 1.5 + Math.sqrt(bin.trials) / 2)} fill="var(--accent)" />)}
      </svg>
      <span class="muted num">off by {percent(of.calibration_error, 0)}</span>
    </span>
  );
}
