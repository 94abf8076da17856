// Everything that was ever decided and done, and the proof that nothing of it was changed since.
import { useEffect, useState } from "preact/hooks";
import { Icon } from "../components/icons";
import { useLoad } from "../components/load";
import { RecordDetail } from "../components/record_detail";
import { told } from "../components/record_line";
import { Tag } from "../components/small";
import { Empty, Loading, Problem } from "../components/states";
import { get, query } from "../data/client";
import { clock, human, instant, plural } from "../data/format";
import { changes } from "../data/live";
import { to } from "../data/route";
import type { AuditRecord, Items, Proof } from "../data/types";

const KINDS = ["incident_opened", "incident_updated", "incident_closed", "proposal", "verdict", "decision", "intent", "widened", "receipt", "refusal",
  "renewed", "effect", "undo", "action_ended", "autonomy", "mode", "frozen", "unfrozen", "brain_started"];
const PAGE = 100;
const SETTLE_MS = 250;
type Filter = { text: string; kind: string; actor: string; service: string; incident: string; since: string; until: string };
const NONE: Filter = { text: "", kind: "", actor: "", service: "", incident: "", since: "", until: "" };
const rfc = (local: string): string => (local ? new Date(local).toISOString() : "");

export function Audit({ seq }: { seq: string | undefined }) {
  const [filter, setFilter] = useState(NONE);
  const [asked, setAsked] = useState(NONE);
  const [older, setOlder] = useState<AuditRecord[]>([]);
  const [next, setNext] = useState<string | undefined>();
  const [why, setWhy] = useState<unknown>(null);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(filter), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [filter]);
  const path = (cursor?: string): string => `/v1/audit${query({ ...asked, since: rfc(asked.since), until: rfc(asked.until), newest: true, limit: PAGE, cursor })}`;
  const first = useLoad(() => get<Items<AuditRecord>>(path()), [asked, changes.value]);
  useEffect(() => { setOlder([]); setNext(undefined); }, [asked]);
  const items = [...(first.value?.items ?? []), ...older.filter((one) => !first.value?.items.some((known) => known.seq === one.seq))];
  const cursor = next ?? (older.length ? undefined : first.value?.next);
  const more = (): void => {
    get<Items<AuditRecord>>(path(cursor)).then((page) => {
      setOlder([...older, ...page.items]);
      setNext(page.next ?? undefined);
    }).catch(setWhy);
  };
  const set = (part: Partial<Filter>): void => setFilter({ ...filter, ...part });
  return (
    <>
      <div class="page-head">
        <div><h1>Audit</h1><p>Append-only; each record holds the hash of the one before.</p></div>
        <div class="row"><a class="btn" href="/v1/audit/export" download="lightsout-audit.jsonl"><Icon name="down" />Export</a><Verify /></div>
      </div>
      <div class={seq ? "cols main chosen" : ""}>
        <section class="panel" aria-label="Records">
          <Filters of={filter} set={set} clear={() => setFilter(NONE)} />
          {first.why || why ? <Problem why={first.why ?? why} /> : !first.value ? <Loading lines={8} /> : !items.length ? <Empty icon="audit" title="No record fits">Fewer filters show more.</Empty> : <Rows of={items} chosen={seq} />}
          {cursor && <div class="pad"><button class="btn small" onClick={more}>Older records</button></div>}
        </section>
        {seq && <RecordDetail seq={seq} key={seq} />}
      </div>
    </>
  );
}

const Filters = ({ of, set, clear }: { of: Filter; set: (part: Partial<Filter>) => void; clear: () => void }) => (
  <div class="filters" role="search">
    <label class="field grow">Search<input type="search" value={of.text} placeholder="Any text: an endpoint, a reason, an id" onInput={(event) => set({ text: event.currentTarget.value })} style={{ minHeight: "30px", padding: "4px 9px", borderRadius: "6px", border: "1px solid var(--line-strong)", background: "var(--bg)" }} /></label>
    <label class="field">Kind<select value={of.kind} onChange={(event) => set({ kind: event.currentTarget.value })}><option value="">All</option>{KINDS.map((kind) => <option key={kind} value={kind}>{human(kind)}</option>)}</select></label>
    <label class="field">Actor<input type="text" size={10} value={of.actor} placeholder="brain, person …" onInput={(event) => set({ actor: event.currentTarget.value })} /></label>
    <label class="field">Service<input type="text" size={10} value={of.service} onInput={(event) => set({ service: event.currentTarget.value })} /></label>
    <label class="field">Incident<input type="text" size={8} value={of.incident} onInput={(event) => set({ incident: event.currentTarget.value })} /></label>
    <label class="field hide-phone">From<input type="datetime-local" value={of.since} onInput={(event) => set({ since: event.currentTarget.value })} /></label>
    <label class="field hide-phone">Until<input type="datetime-local" value={of.until} onInput={(event) => set({ until: event.currentTarget.value })} /></label>
    <button class="btn plain" onClick={clear}>Clear</button>
  </div>
);

const Rows = ({ of, chosen }: { of: AuditRecord[]; chosen: string | undefined }) => (
  <div class="scroll" tabIndex={0} role="group" aria-label="Table">
    <table>
      <thead><tr><th class="num">#</th><th>When</th><th>What</th><th class="hide-phone">Kind</th><th class={chosen ? "hidden-visually" : "hide-phone"}>About</th><th>By</th></tr></thead>
      <tbody>
        {of.map((record) => {
          const { title, detail, tone } = told(record);
          const at = Date.parse(record.at);
          return (
            <tr key={record.seq} class="link" aria-selected={String(record.seq) === chosen} style={String(record.seq) === chosen ? { background: "var(--hover)" } : {}} onClick={() => (location.hash = to("audit", String(record.seq)))}>
              <td class="num"><a href={to("audit", String(record.seq))} onClick={(event) => event.stopPropagation()}>{record.seq}</a></td>
              <td class="num" title={instant(at)} style={{ textAlign: "left" }}>{clock(at)}</td>
              <td class="wrap-anywhere"><span class={tone}>{title}</span><span class="sub wrap-anywhere">{detail}</span></td>
              <td class="hide-phone mono muted">{record.kind}</td>
              <td class={chosen ? "hidden-visually" : "hide-phone wrap-anywhere"}>{record.service ?? "—"}<span class="sub ids">{[record.incident, record.action].filter(Boolean).map((id) => <span key={id}>{id}</span>)}</span></td>
              <td><Tag of={record.actor.kind} text={record.actor.id} /></td>
            </tr>
          );
        })}
      </tbody>
    </table>
  </div>
);

/** Walks the chain on the brain, and shows the head: who keeps it elsewhere can prove the log later. */
function Verify() {
  const [proof, setProof] = useState<Proof | null>(null);
  const [why, setWhy] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const verify = (): void => {
    setBusy(true);
    get<Proof>("/v1/audit/verify").then(setProof).catch(setWhy).finally(() => setBusy(false));
  };
  return (
    <>
      <button class="btn primary" disabled={busy} onClick={verify}><Icon name="shield" />{busy ? "Verifying…" : "Verify"}</button>
      {why !== null && <Problem why={why} />}
      {proof && (
        <div class={proof.ok ? "said" : "problem"} role="status" id="proof" style={{ flexBasis: "100%" }}>
          {proof.ok ? `Intact: ${plural(proof.records, "record")}.` : `Broken at record ${proof.flaw?.seq}: ${proof.flaw?.why}`} Head <code class="wrap-anywhere">{proof.head}</code>
        </div>
      )}
    </>
  );
}
