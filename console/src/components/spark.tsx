// A line without axes, for tables: a second one beneath it, and behind both the band of what is usual.
import { useMemo } from "preact/hooks";

type Values = (number | null)[];
type Props = { values: Values; under?: Values; label: string; tone?: string; most?: number; band?: [number, number] | undefined };
const [WIDE, HIGH] = [96, 24];

export function Spark({ values, under = [], label, tone = "accent", most = 0, band }: Props) {
  const top = Math.max(most, band?.[1] ?? 0, ...values.map((value) => value ?? 0), 1e-9);
  const y = (value: number): number => HIGH - 2 - (Math.min(value, top) / top) * (HIGH - 4);
  const [line, lower] = useMemo(() => [path(values, y), path(under, y)], [values, under, top]);
  const usual = band ? `, usual from ${band[0].toPrecision(2)} to ${band[1].toPrecision(2)}` : "";
  return (
    <svg class="spark" viewBox={`0 0 ${WIDE} ${HIGH}`} role="img" aria-label={label + usual} preserveAspectRatio="none">
      {band && <rect class="usual" x="0" width={WIDE} y={y(band[1])} height={Math.max(1, y(band[0]) - y(band[1]))} fill="var(--band)" />}
      {lower && <path d={lower} fill="none" stroke="var(--info)" stroke-width="1" vector-effect="non-scaling-stroke" stroke-linejoin="round" />}
      <path d={line} fill="none" stroke={`var(--${tone})`} stroke-width="1.4" vector-effect="non-scaling-stroke" stroke-linejoin="round" />
    </svg>
  );
}

/** Where nothing was measured the pen is lifted. */
function path(values: Values, y: (value: number) => number): string {
  const step = WIDE / Math.max(values.length - 1, 1);
  let pen = "M";
  return values.map((value, n) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    const point = `${pen}${(n * step).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    return point;
  }).join("");
}
