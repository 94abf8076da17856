// One measure over time: its line, the band of what is usual, and marks for what happened.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clock } from "../data/format";
import { colour, theme } from "../data/theme";

export type Line = { label: string; values: (number | null)[]; colour: string };
export type MarkAt = { ms: number; label: string; colour: string };
type Props = {
  title: string; times: number[]; lines: Line[]; band?: [number, number]; marks?: MarkAt[]; height?: number; zero?: boolean;
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

export function Chart({ title, times, lines, band, marks = [], height = 130, zero = true, show }: Props) {
  const at = useRef<HTMLDivElement>(null);
  const values = lines.flatMap((line) => line.values).filter((value): value is number => value !== null);
  const last = lines.map((line) => line.values.at(-1) ?? null);
  useEffect(() => {
    const place = at.current;
    if (!place) return;
    const most = Math.max(...values, band?.[1] ?? 0, 1e-6);
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
    const plot = new uPlot(options, [times.map((ms) => ms / 1000), ...lines.map((line) => line.values)] as uPlot.AlignedData, place);
    const watch = new ResizeObserver(() => place.clientWidth && plot.setSize({ width: place.clientWidth, height }));
    watch.observe(place);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [times, theme.value, lines.length, marks.length, band?.[0], band?.[1]]);
  const spoken = values.length ? `${title}: now ${last.map((v) => (v === null ? "nothing" : show(v))).join(" and ")}, at most ${show(Math.max(...values))}` : `${title}: nothing measured`;
  return (
    <figure class="chart">
      <figcaption>
        <b>{title}</b>
        <span class="legend">
          {lines.length > 1 && lines.map((line) => <span key={line.label} style={{ "--key": `var(--${line.colour})` }}>{line.label}</span>)}
          {band && <span class="band">usual</span>}
        </span>
        <span class="now">{last.map((v) => (v === null ? "—" : show(v))).join(" · ")}</span>
      </figcaption>
      <div ref={at} role="img" aria-label={spoken} style={{ minHeight: `${height}px` }} />
    </figure>
  );
}
