// One record whole: what it says, what it changed against the one before of its kind, and its place in the chain.
import { get, query } from "../data/client";
import { human, instant } from "../data/format";
import { to } from "../data/route";
import type { Action, AuditRecord, Items, Judgement, Kind } from "../data/types";
import { ActionDiff, differences } from "./diff";
import { EffectLine } from "./effect";
import { EvidenceList } from "./evidence";
import { Explain } from "./explain";
import { useLoad } from "./load";
import { told } from "./record_line";
import { Tag } from "./small";
import { Loading, Problem } from "./states";

type Object = { id?: string };
/** The thing that a record is about, and its name. */
const subject = (of: AuditRecord): { name: string; value: Object } | null => {
  const data = of.data as Record<string, Object>;
  const name = ["proposal", "action", "incident"].find((key) => data[key]?.id !== undefined);
  return name ? { name, value: data[name] as Object } : null;
};

async function read(seq: string): Promise<{ record: AuditRecord | undefined; before: AuditRecord | undefined }> {
  const n = Number(seq);
  const page = await get<Items<AuditRecord>>(`/v1/audit${query({ cursor: n - 1, limit: 1 })}`);
  const record = page.items.find((one) => one.seq === n);
  const about = record && subject(record);
  if (!record || !about) return { record, before: undefined };
  const earlier = await get<Items<AuditRecord>>(`/v1/audit${query({ newest: true, cursor: n, limit: 200, text: `"${about.value.id}"` })}`);
  return { record, before: earlier.items.find((one) => subject(one)?.name === about.name && subject(one)?.value.id === about.value.id) };
}

export function RecordDetail({ seq }: { seq: string }) {
  const { value, why } = useLoad(() => read(seq), [seq]);
  if (why) return <Problem why={why} />;
  if (!value) return <section class="panel"><Loading lines={8} /></section>;
  const { record, before } = value;
  if (!record) return <section class="panel pad muted">There is no record {seq}.</section>;
  const { title, detail } = told(record);
  const about = subject(record);
  const earlier = before && subject(before);
  const changed = about && earlier ? differences(earlier.value, about.value) : [];
  return (
    <section class="panel" aria-labelledby="record-head">
      <header><h2 id="record-head">Record {record.seq}</h2><Tag of={record.kind} text={record.kind} /><a class="end" href="#/audit">Close</a></header>
      <div class="pad stack">
        <div><b class="wrap-anywhere">{title}</b><p class="muted wrap-anywhere">{detail}</p></div>
        <dl class="kv">
          <dt>When</dt><dd>{instant(Date.parse(record.at))}</dd>
          <dt>By</dt><dd>{record.actor.id} <span class="muted">({record.actor.kind})</span></dd>
          {record.service && <><dt>Service</dt><dd><a href={to("services", record.service)}>{record.service}</a></dd></>}
          {record.incident && <><dt>Incident</dt><dd><a href={to("incidents", record.incident)}>{record.incident}</a></dd></>}
          {record.action && <><dt>Action</dt><dd>{record.action}</dd></>}
        </dl>
        {changed.length > 0 && (
          <div><h3>Changed since record {before?.seq}</h3>
            <div class="diff">{changed.map((line) => <div key={line.what}><span>{line.what}</span><span><del>{line.before}</del><ins>{line.after}</ins></span></div>)}</div>
          </div>
        )}
        <Inside of={record} />
        <Explain of={record} />
        <dl class="kv mono"><dt>Hash</dt><dd>{record.hash}</dd><dt>Before</dt><dd>{record.prev_hash}</dd></dl>
        <details><summary class="muted">As JSON</summary><pre class="json">{JSON.stringify(record, null, 2)}</pre></details>
      </div>
    </section>
  );
}

/** The parts of a record that have a better form than JSON. */
function Inside({ of }: { of: AuditRecord }) {
  const data = of.data as { judgement?: Judgement; proposal?: { action: { service: string; kind: Kind } }; action?: Action; effect?: Action["effect"]; incident?: { evidence: never[] } };
  const acted = data.action?.action ?? data.proposal?.action;
  return (
    <>
      {acted && <div><h3>{human((acted.kind as Kind).type)} of {acted.service}</h3><ActionDiff kind={acted.kind as Kind} service={acted.service} /></div>}
      {data.effect && <EffectLine of={data.effect} />}
      {data.incident && <div><h3>Evidence</h3><EvidenceList of={data.incident.evidence} /></div>}
      {data.judgement && (
        <div><h3>What the guard checked</h3>
          <ul class="checks">{data.judgement.checks.map((check) => <li key={check.name}><span><Tag of={check.verdict} /></span><span class="wrap-anywhere"><span class="mono">{check.name}</span> <span class="muted">{check.why}</span></span></li>)}</ul>
        </div>
      )}
    </>
  );
}
