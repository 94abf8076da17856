// Small things that many pages show.
import { useEffect, useState } from "preact/hooks";
import { brainNow, clock, duration, human, instant, percent } from "../data/format";
import { HEALTH_WORDS, type Health } from "../data/health";
import { Icon, type IconName } from "./icons";

const HEALTH_ICONS: Record<Health, IconName> = { good: "check", warn: "warn", bad: "cross", out: "out", quiet: "quiet", mute: "mute", lost: "lost" };
const HEALTH_TONES: Record<Health, string> = { good: "good", warn: "warn", bad: "bad", out: "info", quiet: "muted", mute: "warn", lost: "violet" };

/** Colour, shape and word: none of them alone. */
export const HealthMark = ({ health, word = true }: { health: Health; word?: boolean }) => (
  <span class={`health ${HEALTH_TONES[health]}`}>
    <Icon name={HEALTH_ICONS[health]} />
    <span class={word ? "" : "hidden-visually"}>{HEALTH_WORDS[health]}</span>
  </span>
);

/** The brain's now, again every second. */
export function useNow(everyMs = 1_000): number {
  const [now, set] = useState(brainNow());
  useEffect(() => {
    const timer = setInterval(() => set(brainNow()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export const Time = ({ ms }: { ms: number }) => <time dateTime={new Date(ms).toISOString()} title={instant(ms)}>{clock(ms)}</time>;

export function Ago({ ms }: { ms: number }) {
  const now = useNow();
  return <time dateTime={new Date(ms).toISOString()} title={instant(ms)}>{duration(now - ms)} ago</time>;
}

/** What is left until an instant, as a ring and in words. */
export function Countdown({ until, of, over = "expired" }: { until: number; of: number; over?: string }) {
  const left = until - useNow();
  if (left <= 0) return <span class="warn">{over}</span>;
  return (
    <span class="num">
      <i class="ring" style={{ "--part": String(Math.min(1, left / Math.max(of, 1))) }} aria-hidden="true" /> {duration(left)}
    </span>
  );
}

export const Confidence = ({ value }: { value: number }) => (
  <span class="row" style={{ gap: "8px", flexWrap: "nowrap" }}>
    <span class="meter" style={{ width: "52px" }} aria-hidden="true"><span style={{ width: `${100 * value}%` }} /></span>
    <span class="num">{percent(value, 0)}</span>
  </span>
);

const TONES: Record<string, string> = {
  open: "bad", closed: "good", pending: "info", approved: "good", executed: "good", rejected: "bad", expired: "", applying: "info", verifying: "info",
  holding: "good", probing: "warn", ended: "", failed: "bad", helped: "good", unchanged: "warn", harmed: "bad", unknown: "", allow: "good", ask: "info",
  deny: "bad", autonomous: "good", advisory: "info", observe: "warn",
};
export const Tag = ({ of, text }: { of: string; text?: string }) => <span class={`tag ${TONES[of] ?? ""}`}>{text ?? human(of)}</span>;
