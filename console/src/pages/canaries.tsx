// Releases that earn their traffic step by step: where they stand, and the evidence they are judged by.
import { useState } from "preact/hooks";
import { CanaryCard } from "../components/canary_card";
import { useLoad } from "../components/load";
import { Tag, Time } from "../components/small";
import { Empty, Loading, Problem } from "../components/states";
import { get, Refused } from "../data/client";
import { OVER, type Canary, type CanaryDetail } from "../data/canary";
import { changes, picture } from "../data/live";
import { human, percent } from "../data/format";
import { go, to } from "../data/route";
import type { Items } from "../data/types";

const AGAIN_MS = 3_000;

/** A build without canaries has none. */
const read = (): Promise<Items<Canary>> =>
  get<Items<Canary>>("/v1/canaries").catch((why) => {
    if (why instanceof Refused && why.status === 404) return { items: [] };
    throw why;
  });

export function Canaries({ id }: { id: string | undefined }) {
  const [turn, setTurn] = useState(0);
  const list = useLoad(read, [changes.value, turn]);
  const under_way = (list.value?.items ?? []).filter((one) => !OVER.includes(one.phase));
  const over = (list.value?.items ?? []).filter((one) => OVER.includes(one.phase));
  const shown = id ? [id] : under_way.map((one) => one.id);
  const again = (): void => setTurn((before) => before + 1);
  return (
    <>
      <div class="page-head"><div>{id && <nav class="crumbs" aria-label="Where this is"><a href="#/canaries">Canaries</a><span>/</span></nav>}<h1>{id ?? "Canaries"}</h1><p>New versions that earn their traffic step by step.</p></div></div>
      <div class="stack">
        {list.why ? <Problem why={list.why} /> : !list.value ? <div class="panel"><Loading /></div> : !shown.length && (
          <section class="panel"><Empty icon="canary" title="No canary is under way">One begins with <code>lightsout canary start</code>: the new version gets a small share, and more as evidence against harm comes in.</Empty></section>
        )}
        {shown.map((one) => <Detail key={one} id={one} again={again} />)}
        {over.length > 0 && !id && <Over of={over} />}
      </div>
    </>
  );
}

function Detail({ id, again }: { id: string; again: () => void }) {
  const beat = Math.floor((picture.value?.at_ms ?? 0) / AGAIN_MS);
  const { value, why } = useLoad(() => get<CanaryDetail>(`/v1/canaries/${encodeURIComponent(id)}`), [id, changes.value, beat]);
  if (why && !value) return <Problem why={why} />;
  return value ? <CanaryCard of={value} again={again} /> : <div class="panel"><Loading lines={6} /></div>;
}

const Over = ({ of }: { of: Canary[] }) => (
  <section class="panel" aria-labelledby="over-head">
    <header><h2 id="over-head">Over</h2></header>
    <div class="scroll" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead><tr><th>End</th><th>Service</th><th>Versions</th><th class="hide-phone">Why</th><th class="num">Requests seen</th><th class="num">When</th></tr></thead>
        <tbody>
          {of.map((one) => (
            <tr key={one.id} class="link" onClick={() => go("canaries", one.id)}>
              <td><Tag of={one.phase === "promoted" ? "approved" : one.phase === "rolled_back" ? "rejected" : ""} text={human(one.phase)} /></td>
              <td><a href={to("canaries", one.id)} onClick={(event) => event.stopPropagation()}>{one.service}</a><span class="sub">{one.id}</span></td>
              <td class="mono">{one.stable} → {one.canary}</td>
              <td class="hide-phone wrap-anywhere">{one.why}</td>
              <td class="num">{one.totals.canary}<span class="sub">{percent(one.totals.canary ? one.totals.canary_failed / one.totals.canary : 0)} failed</span></td>
              <td class="num"><Time ms={one.ended_ms ?? one.since_ms} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </section>
);
