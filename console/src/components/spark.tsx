// A line without axes, for tables.
import { useMemo } from "preact/hooks";

type Props = { values: (number | null)[]; label: string; tone?: string; most?: number };
const [WIDE, HIGH] = [96, 24];

export function Spark({ values, label, tone = "accent", most }: Props) {
  const path = useMemo(() => {
    const top = Math.max(most ?? 0, ...values.map((value) => value ?? 0), 1e-9);
    const step = WIDE / Math.max(values.length - 1, 1);
    let pen = "M";
    return values.map((value, n) => {
      if (value === null) {
        pen = "M";
        return "";
      }
      const point = `${pen}${(n * step).toFixed(1)} ${(HIGH - 2 - (value / top) * (HIGH - 4)).toFixed(1)}`;
      pen = "L";
      return point;
    }).join("");
  }, [values, most]);
  return (
    <svg class="spark" viewBox={`0 0 ${WIDE} ${HIGH}`} role="img" aria-label={label} preserveAspectRatio="none">
      <path d={path} fill="none" stroke={`var(--${tone})`} stroke-width="1.4" vector-effect="non-scaling-stroke" stroke-linejoin="round" />
    </svg>
  );
}
