// What each of two policies would have seen, asked and done, and where they part.
import { useState } from "preact/hooks";
import { duration, human, percent, plural } from "../../data/format";
import { titleOf } from "../../data/changes_of";
import type { Comparison, ComparisonRow, Kind, Said, Tally } from "../../data/types";
import { Tag, Time } from "../small";

const COUNTS: [keyof Tally, string][] = [["alarms", "Alarms"], ["proposals", "Proposals"], ["asked", "Asked a person"], ["denied", "Refused by the guard"], ["actions", "Done alone"]];

export function Outcome({ of }: { of: Comparison }) {
  const [all, setAll] = useState(false);
  const rows = all ? of.rows : of.rows.filter((row) => row.differs);
  return (
    <div class="stack tight" role="region" aria-label="What came of it">
      <dl class="stats flat">
        {COUNTS.map(([key, name]) => <Count key={key} name={name} before={of.before[key]} after={of.after[key]} />)}
      </dl>
      <div class="row pad">
        <b>{of.changed ? `${plural(of.changed, "decision")} of ${of.rows.length + of.left_out} would be another` : "Every decision is the same"}</b>
        <span class="muted num">{plural(of.windows, "window")} read{of.skipped > 0 && `, ${of.skipped} left out`}</span>
        {of.changed < of.rows.length && <button class="btn small" aria-pressed={all} onClick={() => setAll(!all)}>{all ? "Only what differs" : "Also what is the same"}</button>}
      </div>
      {rows.length > 0 && <Rows of={rows} />}
      {of.left_out > 0 && <p class="pad muted">{plural(of.left_out, "more row")} not shown; those that differ come first.</p>}
    </div>
  );
}

const Count = ({ name, before, after }: { name: string; before: number; after: number }) => (
  <div class="stat"><dt>{name}</dt><dd>{before === after ? after : <><span class="muted">{before}</span> → <span class={after > before ? "warn" : "info"}>{after}</span></>}</dd></div>
);

const Rows = ({ of }: { of: ComparisonRow[] }) => (
  <div class="scroll" tabIndex={0} role="group" aria-label="Table">
    <table>
      <thead><tr><th>When</th><th>What</th><th>Service</th><th>In force</th><th>Edited</th></tr></thead>
      <tbody>
        {of.map((row, n) => {
          const kind = row.action?.kind as Kind | undefined;
          return (
            <tr key={n}>
              <td><Time ms={row.at_ms} /></td>
              <td class="wrap-anywhere">{kind ? <>{human(kind.type)} <span class="mono">{titleOf(kind)}</span></> : <>Alarm: {row.alarm}</>}</td>
              <td>{row.service}</td>
              <td><Told of={row.before} /></td>
              <td><Told of={row.after} than={row.before} /></td>
            </tr>
          );
        })}
      </tbody>
    </table>
  </div>
);

const WORDS = { allow: "does it alone", ask: "asks a person", deny: "does not" };

function Told({ of, than }: { of: Said | null | undefined; than?: Said | null | undefined }) {
  if (!of) return <span class="muted">nothing</span>;
  const later = than ? of.at_ms - than.at_ms : 0;
  return (
    <>
      {of.verdict ? <Tag of={of.verdict} text={WORDS[of.verdict]} /> : <Tag of="open" text="alarm" />} <span class="muted num">{percent(of.confidence, 0)}{later !== 0 && ` · ${duration(Math.abs(later))} ${later > 0 ? "later" : "earlier"}`}</span>
      <span class="sub wrap-anywhere">{of.why}</span>
    </>
  );
}
