// One measure over time: its line, the band of what is usual, and marks for what happened.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clock, percent } from "../data/format";
import { colour, theme } from "../data/theme";
import type { Forecast } from "../data/types";

export type Line = { label: string; values: (number | null)[]; colour: string };
export type MarkAt = { ms: number; label: string; colour: string };
type Props = {
  title: string; times: number[]; lines: Line[]; band?: [number, number]; marks?: MarkAt[]; height?: number; zero?: boolean;
  /** The axis reaches this far at least: the noise of a calm hour shall not look like a mountain. */
  reach?: number;
  /** What is expected after the last value, with its interval. */
  ahead?: Forecast | undefined;
  show: (value: number) => string;
};

const axis = (): Partial<uPlot.Axis> => ({
  stroke: colour("muted"), font: `11px ${colour("sans")}`, grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, border: { show: false },
});

function drawn(marks: MarkAt[], band: [number, number] | undefined): uPlot.Plugin {
  return {
    hooks: {
      drawClear: (u) => {
        if (!band) return;
        const [top, bottom] = [u.valToPos(band[1], "y", true), u.valToPos(band[0], "y", true)];
        u.ctx.save();
        u.ctx.beginPath();
        u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
        u.ctx.clip();
        u.ctx.fillStyle = colour("band");
        u.ctx.fillRect(u.bbox.left, top, u.bbox.width, Math.max(1, bottom - top));
        u.ctx.restore();
      },
      draw: (u) => {
        let free = u.bbox.left;
        for (const mark of [...marks].sort((a, b) => a.ms - b.ms)) {
          const x = u.valToPos(mark.ms / 1000, "x", true);
          if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
          u.ctx.save();
          u.ctx.strokeStyle = u.ctx.fillStyle = mark.colour;
          u.ctx.lineWidth = devicePixelRatio;
          u.ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
          u.ctx.beginPath();
          u.ctx.moveTo(x, u.bbox.top);
          u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
          u.ctx.stroke();
          u.ctx.font = `${10.5 * devicePixelRatio}px ${colour("sans")}`;
          const wide = u.ctx.measureText(mark.label).width + 8 * devicePixelRatio;
          const right = x + wide < u.bbox.left + u.bbox.width;
          const from = right ? x : x - wide;
          // Labels that would cover each other are left out; the line stays.
          if (mark.label && from >= free) {
            u.ctx.textAlign = right ? "left" : "right";
            u.ctx.fillText(mark.label, x + (right ? 4 : -4) * devicePixelRatio, u.bbox.top + 10 * devicePixelRatio);
            free = from + wide;
          }
          u.ctx.restore();
        }
      },
    },
  };
}

type Data = { times: number[]; rows: (number | null)[][] };

/** The measured lines, and after them the forecast's middle, upper and lower end. */
function withAhead(times: number[], lines: Line[], ahead: Forecast | undefined): Data {
  if (!ahead) return { times, rows: lines.map((line) => line.values) };
  const minutes = ahead.minutes.filter((minute) => minute.end_ms > (times.at(-1) ?? 0));
  const past = times.map(() => null);
  const coming = (of: (minute: Forecast["minutes"][number]) => number): (number | null)[] => [...past, ...minutes.map(of)];
  const measured = lines.map((line) => [...line.values, ...minutes.map(() => null)]);
  return { times: [...times, ...minutes.map((minute) => minute.end_ms)], rows: [...measured, coming((m) => m.expected_rps), coming((m) => m.high_rps), coming((m) => m.low_rps)] };
}

/** How the forecast is drawn: a broken line within its interval. */
function aheadOptions(lines: number): Pick<uPlot.Options, "series" | "bands"> {
  const [middle, edge] = [{ stroke: colour("info"), width: 1.5, dash: [4, 4], points: { show: false } }, { stroke: "transparent", points: { show: false } }];
  return { series: [middle, edge, edge], bands: [{ series: [lines + 2, lines + 3], fill: colour("band") }] };
}

export function Chart({ title, times, lines, band, marks = [], height = 130, zero = true, reach = 1e-6, show, ahead }: Props) {
  const at = useRef<HTMLDivElement>(null);
  const { times: all, rows } = withAhead(times, lines, ahead);
  const values = rows.flat().filter((value): value is number => value !== null);
  const measured = lines.flatMap((line) => line.values).filter((value): value is number => value !== null);
  const last = lines.map((line) => line.values.at(-1) ?? null);
  useEffect(() => {
    const place = at.current;
    if (!place) return;
    const most = Math.max(...values, band?.[1] ?? 0, reach);
    const least = zero ? 0 : Math.min(...values, band?.[0] ?? Infinity);
    const options: uPlot.Options = {
      width: place.clientWidth || 300, height, legend: { show: false }, cursor: { y: false, points: { size: 6 } },
      padding: [8, 14, 0, 2], plugins: [drawn(marks, band)],
      scales: { x: { time: true }, y: { range: [least, most * 1.12] } },
      axes: [
        { ...axis(), space: 84, size: 24, values: (_, splits) => splits.map((s) => clock(s * 1000).slice(0, splits.length > 1 && (splits[1] ?? 0) - (splits[0] ?? 0) < 60 ? 8 : 5)) },
        { ...axis(), size: 58, space: 32, values: (_, splits) => splits.map((value) => show(value)) },
      ],
      series: [{}, ...lines.map((line) => ({ label: line.label, stroke: colour(line.colour), width: 1.5, points: { show: false } }))],
    };
    if (ahead) {
      const more = aheadOptions(lines.length);
      Object.assign(options, { series: [...options.series, ...more.series], bands: more.bands });
    }
    const plot = new uPlot(options, [all.map((ms) => ms / 1000), ...rows] as uPlot.AlignedData, place);
    const watch = new ResizeObserver(() => place.clientWidth && plot.setSize({ width: place.clientWidth, height }));
    watch.observe(place);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [times, ahead, theme.value, lines.length, marks.length, band?.[0], band?.[1]]);
  const spoken = measured.length ? `${title}: now ${last.map((v) => (v === null ? "nothing" : show(v))).join(" and ")}, at most ${show(Math.max(...measured))}${ahead ? `, ${show(ahead.minutes.at(-1)?.low_rps ?? 0)} to ${show(ahead.minutes.at(-1)?.high_rps ?? 0)} expected in ${ahead.minutes.length} minutes` : ""}` : `${title}: nothing measured`;
  return (
    <figure class="chart">
      <figcaption>
        <b>{title}</b>
        <span class="legend">
          {lines.length > 1 && lines.map((line) => <span key={line.label} style={{ "--key": `var(--${line.colour})` }}>{line.label}</span>)}
          {band && <span class="band">usual</span>}
          {ahead && <span class="ahead">next {ahead.minutes.length} min, {percent(ahead.level, 0)} within</span>}
        </span>
        <span class="now">{last.map((v) => (v === null ? "—" : show(v))).join(" · ")}</span>
      </figcaption>
      <div ref={at} role="img" aria-label={spoken} style={{ minHeight: `${height}px` }} />
    </figure>
  );
}
