// The last hour: how much failed, when incidents were open, and a slider to look back with.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "../data/client";
import { clock } from "../data/format";
import { changes, incidents, lookingAt } from "../data/live";
import { lookAt } from "../data/look_back";
import type { Items, Series } from "../data/types";
import { Icon } from "./icons";
import { useLoad } from "./load";
import { useNow } from "./small";

const HOUR_MS = 3_600_000;
const STEP_MS = 2_000;
/** Replay runs so many times as fast. */
const SPEED = 10;
const AGAIN_MS = 15_000;

export function Timeline() {
  const now = Math.floor(useNow() / STEP_MS) * STEP_MS;
  const [plays, setPlays] = useState(false);
  const turn = Math.floor(now / AGAIN_MS);
  const { value } = useLoad(() => get<Items<Series>>("/v1/series?metric=failure_share"), [changes.value, turn]);
  const series = value?.items[0];
  const from = Math.max(now - HOUR_MS, series?.start_ms ?? now - HOUR_MS);
  const at = lookingAt.value ?? now;
  useEffect(() => {
    if (!plays) return;
    const timer = setInterval(() => {
      const next = (lookingAt.value ?? now) + 250 * SPEED;
      if (next >= Date.now() - STEP_MS) {
        setPlays(false);
        void lookAt(null);
      } else void lookAt(next);
    }, 250);
    return () => clearInterval(timer);
  }, [plays]);
  const span = Math.max(now - from, STEP_MS);
  const x = (ms: number): number => Math.min(1000, Math.max(0, (1000 * (ms - from)) / span));
  const area = useMemo(() => path(series, x), [series, from, now]);
  const live = lookingAt.value === null;
  return (
    <div class="timeline">
      <button class="btn small" aria-label={live ? "Pause" : plays ? "Stop the replay" : "Replay from here"} title={live ? "Pause" : plays ? "Stop the replay" : "Replay, ten times as fast"} onClick={() => (live ? void lookAt(now) : setPlays(!plays))}>
        <Icon name={live || plays ? "pause" : "play"} />
      </button>
      {live ? <span class="now">Live</span> : <button class="btn small primary" onClick={() => { setPlays(false); void lookAt(null); }}>Now</button>}
      <div class="track">
        <svg viewBox="0 0 1000 22" preserveAspectRatio="none" aria-hidden="true">
          {(incidents.value ?? []).map((one) => (
            <rect key={one.id} x={x(one.opened_ms)} y="0" width={Math.max(2, x(one.closed_ms ?? now) - x(one.opened_ms))} height="22" fill="var(--bad-soft)" />
          ))}
          <path d={area} fill="var(--bad)" opacity="0.75" />
          <line x1="0" x2="1000" y1="21.500" y2="21.500" stroke="var(--line-strong)" vector-effect="non-scaling-stroke" />
          {!live && <line x1={x(at)} x2={x(at)} y1="0" y2="22" stroke="var(--accent)" stroke-width="2" vector-effect="non-scaling-stroke" />}
        </svg>
        <input type="range" min={from} max={now} step={STEP_MS} value={at} aria-label="Look back within the last hour" aria-valuetext={live ? "now" : clock(at)}
          onInput={(event) => { setPlays(false); const to = Number(event.currentTarget.value); void lookAt(to >= now - STEP_MS ? null : to); }} />
      </div>
      <span class="when">{live ? `since ${clock(from)}` : clock(at)}</span>
    </div>
  );
}

/** The share of failures as an area; a tenth is full height. */
function path(series: Series | undefined, x: (ms: number) => number): string {
  const shares = series?.failure_share ?? [];
  if (!series || !shares.length) return "";
  const most = Math.max(0.02, ...shares.map((share) => share ?? 0));
  const points = shares.map((share, n) => `L${x(series.start_ms + n * series.step_ms).toFixed(1)} ${(21.5 - (20 * (share ?? 0)) / most).toFixed(1)}`);
  return `M${x(series.start_ms).toFixed(1)} 21.5${points.join("")}L${x(series.start_ms + shares.length * series.step_ms).toFixed(1)} 21.5Z`;
}
