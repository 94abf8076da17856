// All incidents that are kept in memory, the open ones first.
import { Ago, Confidence, Tag, Time } from "../components/small";
import { Empty, Loading } from "../components/states";
import { duration, human } from "../data/format";
import { incidents } from "../data/live";
import { go, to } from "../data/route";
import type { Incident } from "../data/types";

export const culprit = (of: Incident): string => of.cause.endpoint ?? of.cause.version ?? (of.cause.ips?.length ? of.cause.ips.slice(0, 3).join(", ") : of.cause.service);

export function Incidents() {
  const all = incidents.value;
  const sorted = [...(all ?? [])].sort((a, b) => Number(b.state === "open") - Number(a.state === "open") || b.opened_ms - a.opened_ms);
  return (
    <>
      <div class="page-head"><div><h1>Incidents</h1><p>What is wrong, who is to blame, and how that is known.</p></div></div>
      <section class="panel" aria-label="Incidents">
        {!all ? <Loading /> : !all.length ? (
          <Empty icon="check" title="No incident">Nothing has been out of the usual since the brain started. Older incidents stand in the <a href="#/audit">audit log</a>.</Empty>
        ) : (
          <div class="scroll" tabIndex={0} role="group" aria-label="Table">
            <table>
              <thead><tr><th>State</th><th>Cause</th><th class="hide-phone">What is seen</th><th class="num">Sure</th><th>Began</th><th class="num">Lasted</th></tr></thead>
              <tbody>
                {sorted.map((one) => (
                  <tr key={one.id} class="link" onClick={() => go("incidents", one.id)}>
                    <td><Tag of={one.state} /></td>
                    <td><a href={to("incidents", one.id)} onClick={(event) => event.stopPropagation()}><b>{human(one.cause.kind)}</b></a><span class="sub wrap-anywhere"><span class="mono">{culprit(one)}</span> · {one.id}</span></td>
                    <td class="hide-phone wrap-anywhere">{one.summary}</td>
                    <td class="num"><Confidence value={one.confidence} /></td>
                    <td><Time ms={one.onset_ms} /><span class="sub"><Ago ms={one.onset_ms} /></span></td>
                    <td class="num">{one.closed_ms ? duration(one.closed_ms - one.onset_ms) : "still open"}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
    </>
  );
}
